/** The file system that holds a file: what policies and EVM tell file systems apart by. */
import { closeSync, constants, openSync, readdirSync, readFileSync, readSync, statfsSync, statSync } from 'node:fs';
import { kernelFileSystemUuid } from './inode.ts';
import { type Mount, parseMountInfo } from './mounts.ts';
import { isNativeAvailable } from './native.ts';

export interface FileSystem {
  /** `s_magic`, as statfs(2) gives it and `fsmagic=` of a policy names it (linux/magic.h). */
  readonly magic: number;
  /** As mounted: `ext4`, `fuse.sshfs`, …; undefined where the mount is not to be seen from here. */
  readonly type?: string;
  /** The whole file system is mounted read-only, not one of its mounts alone; undefined as `type`. */
  readonly isReadOnly?: boolean;
  /** `s_uuid`, 16 bytes; undefined for a file system without one, or where nothing that this user may read tells it. */
  readonly uuid?: Buffer;
}

/**
 * The UUID is the kernel's own (FS_IOC_GETFSUUID, since 6.9); on older kernels it is read from the superblock of the block
 * device, which takes root, and else from the links of udev. It costs several reads: ask once a file system, not a file.
 * @param file a path (links are followed), or a descriptor
 * @throws the error of node:fs for a path that cannot be opened
 */
export function fileSystem(file: string | Uint8Array | number): FileSystem {
  if (typeof file === 'number') return describe(file);
  const fd = openSync(typeof file === 'string' ? file : Buffer.from(file), constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return describe(fd);
  } finally {
    closeSync(fd);
  }
}

function describe(fd: number): FileSystem {
  const magic = Number(statfsSync(`/proc/self/fd/${fd}`, { bigint: true }).type & 0xffffffffn);
  const mount = mountOf(fd);
  const known = isNativeAvailable() ? kernelFileSystemUuid(fd) : undefined;
  const uuid = known ?? (mount === undefined ? undefined : uuidOfDevice(mount));
  const mounted = mount === undefined ? {} : { type: mount.type, isReadOnly: mount.isReadOnly };
  return { magic, ...mounted, ...(uuid === undefined ? {} : { uuid }) };
}

/** By the mount's number, not by `st_dev`: btrfs gives each subvolume a device number that mountinfo does not have. */
function mountOf(fd: number): Mount | undefined {
  const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
  return parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1')).find((mount) => mount.id === id);
}

function uuidOfDevice(mount: Mount): Buffer | undefined {
  for (const device of blockDevices(mount)) {
    const uuid = superblockUuid(device) ?? udevUuid(device);
    if (uuid !== undefined) return uuid;
  }
  return undefined;
}

/** By number where sysfs knows it (`/dev/root` is no file), else the name that was mounted (btrfs has an anonymous number). */
function blockDevices(mount: Mount): string[] {
  const name = blockDeviceName(mount.device);
  const named = mount.source.startsWith('/dev/') ? [mount.source] : [];
  return name === undefined ? named : [`/dev/${name}`, ...named];
}

/** The kernel's name of a block device (`sda1`); undefined where there is none of this number. @param device `major:minor` */
export function blockDeviceName(device: string): string | undefined {
  const uevent = ifReadable(() => readFileSync(`/sys/dev/block/${device}/uevent`, 'latin1'));
  return uevent === undefined ? undefined : /^DEVNAME=(.+)$/m.exec(uevent)?.[1];
}

/** Where each file system's superblock lies and what it begins with, in bytes of the device. */
const SUPERBLOCKS = [
  // fs/ext4/ext4.h: struct ext4_super_block at 1024; s_magic at 0x38, s_uuid at 0x68. ext2 and ext3 have the same.
  { magicAt: 1024 + 0x38, magic: Buffer.of(0x53, 0xef), uuidAt: 1024 + 0x68 },
  // fs/xfs/libxfs/xfs_format.h: struct xfs_dsb, sb_uuid at 32.
  { magicAt: 0, magic: Buffer.from('XFSB'), uuidAt: 32 },
  // fs/btrfs, struct btrfs_super_block at 64 KiB; fsid at 0x20, magic at 0x40.
  { magicAt: 65536 + 0x40, magic: Buffer.from('_BHRfS_M'), uuidAt: 65536 + 0x20 },
] as const;

/** The UUID that the superblock of ext2, ext3, ext4, xfs or btrfs holds; undefined where there is no such, or it cannot be read. */
export function superblockUuid(device: string): Buffer | undefined {
  const start = ifReadable(() => readStart(device, 65536 + 4096));
  if (start === undefined) return undefined;
  const found = SUPERBLOCKS.find(({ magicAt, magic }) => magic.equals(start.subarray(magicAt, magicAt + magic.length)));
  const uuid = found === undefined ? undefined : start.subarray(found.uuidAt, found.uuidAt + 16);
  return uuid?.length === 16 ? Buffer.from(uuid) : undefined;
}

function readStart(path: string, size: number): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const bytes = Buffer.alloc(size);
    return bytes.subarray(0, readSync(fd, bytes, 0, size, 0));
  } finally {
    closeSync(fd);
  }
}

const BY_UUID = '/dev/disk/by-uuid';

function udevUuid(device: string): Buffer | undefined {
  const number = ifReadable(() => statSync(device).rdev);
  const names = ifReadable(() => readdirSync(BY_UUID)) ?? [];
  const name = names.find((one) => ifReadable(() => statSync(`${BY_UUID}/${one}`).rdev) === number);
  const hex = name?.replaceAll('-', '') ?? '';
  // FAT and NTFS have shorter names there, which are no UUIDs.
  return number !== undefined && /^[0-9a-fA-F]{32}$/.test(hex) ? Buffer.from(hex, 'hex') : undefined;
}

/** What cannot be read is as good as absent here: another source follows. */
function ifReadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined;
    throw error;
  }
}
