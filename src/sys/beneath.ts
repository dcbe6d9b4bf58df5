/**
 * Files beneath a folder that is held open: no symbolic link is followed on the way (openat2(2), RESOLVE_NO_SYMLINKS and
 * RESOLVE_BENEATH), so that nobody who may write in the tree can lead a privileged walk out of it. Paths are bytes, as the
 * kernel's are, and end with a NUL. Made to be called millions of times: no allocation that the answer does not need.
 */
import { constants as fsConstants } from 'node:fs';
import type { EntryType } from './directory.ts';
import { callFailed, SysError } from './error.ts';
import { cPath, errno, native } from './native.ts';

/** syscall(2) is variadic in C; for integers and pointers the calling convention is the same on x64 and arm64 Linux. */
const openat2 = native<[number, number, Uint8Array, Uint8Array, number], number>(
  'int64_t syscall(int64_t number, int64_t dirfd, const uint8_t *path, const uint8_t *how, size_t size)',
);
const statxCall = native<[number, Uint8Array, number, number, Uint8Array], number>(
  'int statx(int dirfd, const uint8_t *path, int flags, uint32_t mask, _Out_ uint8_t *buffer)',
);
const closeCall = native<[number], number>('int close(int fd)');

/** The same on every architecture: system calls since 424 share their numbers. */
const SYS_OPENAT2 = 437;
const RESOLVE_NO_XDEV = 0x01;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;
const RESOLVE_IN_ROOT = 0x10;
const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;

export interface BeneathOptions {
  /** A folder, not a file. */
  readonly directory?: boolean;
  /** Refuse (EXDEV) what lies behind a mount point. */
  readonly oneFileSystem?: boolean;
}

const HOW_SIZE = 24;
const hows = new Map<number, Buffer>();

/** struct open_how: flags, mode, resolve (linux/openat2.h). */
function howOf({ directory = false, oneFileSystem = false }: BeneathOptions): Buffer {
  const index = (directory ? 1 : 0) + (oneFileSystem ? 2 : 0);
  const made = hows.get(index);
  if (made !== undefined) return made;
  const how = Buffer.alloc(HOW_SIZE);
  const { O_RDONLY, O_NONBLOCK, O_NOCTTY, O_DIRECTORY } = fsConstants;
  // O_NONBLOCK: opening a FIFO or a device that took a file's place must not wait.
  const flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (directory ? O_DIRECTORY : 0);
  how.writeBigUInt64LE(BigInt(flags), 0);
  const resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | (oneFileSystem ? RESOLVE_NO_XDEV : 0);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  hows.set(index, how);
  return how;
}

export type FileType = Exclude<EntryType, 'unknown'>;

/** A path that was given as bytes, for a message. */
const shown = (path: Uint8Array): string => Buffer.from(path).toString().replace(/\0$/, '');

/**
 * Opens a file for reading. The caller closes it with {@link closeFile}.
 * @param path relative to the folder, ending with a NUL
 * @throws {SysError} ELOOP where the path holds a symbolic link, EXDEV, ENOENT, EACCES, ENAMETOOLONG, ENOSYS before Linux 5.6
 */
export function openBeneath(folder: number, path: Uint8Array, options: BeneathOptions = {}): number {
  const fd = openat2(SYS_OPENAT2, folder, path, howOf(options), HOW_SIZE);
  if (fd < 0) throw callFailed('openat2', shown(path), errno());
  return Number(fd);
}

/**
 * A handle of what a path names where the folder is the root, as chroot(2) would have it: absolute links and `..` start
 * there or end there. It can be looked at, and not read. The caller closes it with {@link closeFile}.
 * @param follow a link at the path's end; else the handle is the link's own
 * @throws {SysError} as {@link openBeneath}
 */
export function openInRoot(root: number, path: string, follow: boolean): number {
  const how = Buffer.alloc(HOW_SIZE);
  how.writeBigUInt64LE(BigInt(O_PATH | O_CLOEXEC | (follow ? 0 : fsConstants.O_NOFOLLOW)), 0);
  how.writeBigUInt64LE(BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), 16);
  const fd = openat2(SYS_OPENAT2, root, cPath(path), how, HOW_SIZE);
  if (fd < 0) throw callFailed('openat2', path, errno());
  return Number(fd);
}

export function closeFile(fd: number): void {
  closeCall(fd);
}

/** `sizeof(struct statx)`. */
export const STATX_SIZE = 256;
const STATX_BASIC = 0x07ff;
const AT_EMPTY_PATH = 0x1000;
const AT_STATX_DONT_SYNC = 0x4000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const STATX_ATTR_MOUNT_ROOT = 0x2000;
const EMPTY = Buffer.alloc(1);
const TYPE_MASK = 0o170000;
const REGULAR = 0o100000;

/** S_IF* of linux/stat.h; the kernel has no other. */
const TYPE_OF_MODE: ReadonlyMap<number, FileType> = new Map([
  [0o140000, 'socket'],
  [0o120000, 'link'],
  [REGULAR, 'file'],
  [0o060000, 'block-device'],
  [0o040000, 'directory'],
  [0o020000, 'char-device'],
  [0o010000, 'fifo'],
]);

/** What a file is, and when its content and metadata changed last: one struct statx, filled again by each call. */
export class FileStatus {
  /** The kernel's struct (linux/stat.h). */
  readonly bytes: Buffer;

  /** @param bytes memory of {@link STATX_SIZE} bytes to be filled; left out: memory of its own */
  constructor(bytes: Buffer = Buffer.alloc(STATX_SIZE)) {
    this.bytes = bytes;
  }

  /** @throws {SysError} */
  ofOpen(fd: number): this {
    if (statxCall(fd, EMPTY, AT_EMPTY_PATH, STATX_BASIC, this.bytes) !== 0) {
      throw callFailed('statx', `descriptor ${fd}`, errno());
    }
    return this;
  }

  /** As the kernel has it without asking whoever serves the file system, who may not answer. @throws {SysError} */
  ofOpenAsKnown(fd: number): this {
    if (statxCall(fd, EMPTY, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC, this.bytes) !== 0) {
      throw callFailed('statx', `descriptor ${fd}`, errno());
    }
    return this;
  }

  /** Of the file itself, never of what a link points to. @param path ends with a NUL @throws {SysError} */
  beneath(folder: number, path: Uint8Array): this {
    if (statxCall(folder, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC, this.bytes) !== 0) {
      throw callFailed('statx', shown(path), errno());
    }
    return this;
  }

  get links(): number {
    return this.bytes.readUInt32LE(16);
  }

  get mode(): number {
    return this.bytes.readUInt16LE(28);
  }

  get uid(): number {
    return this.bytes.readUInt32LE(20);
  }

  get gid(): number {
    return this.bytes.readUInt32LE(24);
  }

  /** When the content changed last: nanoseconds since 1970, negative before. */
  get modifiedNs(): bigint {
    return this.bytes.readBigInt64LE(112) * 1_000_000_000n + BigInt(this.bytes.readUInt32LE(120));
  }

  get type(): FileType {
    return TYPE_OF_MODE.get(this.mode & TYPE_MASK) ?? 'socket';
  }

  get isRegular(): boolean {
    return (this.mode & TYPE_MASK) === REGULAR;
  }

  /**
   * True where it is the top of a mount, so that the other fields are not those of what is hidden under it; undefined
   * where the kernel does not tell (before 5.8).
   */
  get isMountPoint(): boolean | undefined {
    const [attributes, told] = [this.bytes.readUInt32LE(8), this.bytes.readUInt32LE(56)];
    return (told & STATX_ATTR_MOUNT_ROOT) === 0 ? undefined : (attributes & STATX_ATTR_MOUNT_ROOT) !== 0;
  }

  get size(): number {
    return this.bytes.readUInt32LE(40) + this.bytes.readUInt32LE(44) * 2 ** 32;
  }

  /** One text for one file, whatever its name. */
  get inode(): string {
    return `${this.device}:${this.bytes.readBigUInt64LE(32)}`;
  }

  get ino(): bigint {
    return this.bytes.readBigUInt64LE(32);
  }

  /** One text for one file system (`st_dev`). */
  get device(): string {
    return `${this.bytes.readUInt32LE(136)}:${this.bytes.readUInt32LE(140)}`;
  }

  /** The device that a device file is: its major number in the upper half, its minor in the lower. */
  get representedDevice(): bigint {
    return (BigInt(this.bytes.readUInt32LE(128)) << 32n) | BigInt(this.bytes.readUInt32LE(132));
  }

  /** Nanoseconds between the last change of content and that of metadata: small where both are fresh. */
  get contentAgeNs(): number {
    const seconds = Number(this.bytes.readBigInt64LE(96) - this.bytes.readBigInt64LE(112));
    return seconds * 1e9 + (this.bytes.readUInt32LE(104) - this.bytes.readUInt32LE(120));
  }

  /** True where the content is the same as far as size and modification time tell. */
  hasContentOf(other: FileStatus): boolean {
    const [a, b] = [this.bytes, other.bytes];
    return a.compare(b, 40, 48, 40, 48) === 0 && a.compare(b, 112, 124, 112, 124) === 0;
  }

  /**
   * Writes what identifies this state of this file: inode, size, times of metadata and content, device
   * ({@link STATE_SIZE} bytes). Any change of content, attributes or extended attributes changes it.
   */
  writeState(into: Uint8Array, at: number): void {
    into.set(this.bytes.subarray(32, 48), at);
    into.set(this.bytes.subarray(96, 128), at + 16);
    into.set(this.bytes.subarray(136, 144), at + 48);
  }
}

/** Bytes that {@link FileStatus.writeState} writes. */
export const STATE_SIZE = 56;

/** `sys.unavailable` where the kernel has no openat2. */
export function requireOpenat2(folder: number): void {
  try {
    closeFile(openBeneath(folder, Buffer.from('.\0'), { directory: true }));
  } catch (error) {
    if (!(error instanceof SysError) || error.errno !== 'ENOSYS') throw error;
    throw new SysError('sys.unavailable', 'this kernel has no openat2', { advice: 'use Linux 5.6 or newer' });
  }
}
