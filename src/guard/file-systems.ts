/** File systems as the guard tells them apart: what policies ask of them, and how far what is found of a file holds. */
import { fileSystem } from '../sys/index.ts';
import type { DeviceInfo } from './messages.ts';

/** linux/magic.h, and the file systems' own sources. */
const EXT = 0xef53;
const XFS = 0x58465342;
const BTRFS = 0x9123683e;
const F2FS = 0xf2f52010;
const TMPFS = 0x01021994;
const RAMFS = 0x858458f6;
const SQUASHFS = 0x73717368;
const EROFS = 0xe0f5e1e2;
const ISOFS = 0x9660;
const FAT = 0x4d44;
const EXFAT = 0x2011bab0;
const BCACHEFS = 0xca451a4e;
const FUSE = 0x65735546;

/**
 * Whose files are changed through this kernel alone, and on one inode: ctime, writers and closing are then told truly. Not
 * overlayfs, where a mapping's writer counts on the file underneath (see `takeReadLease`); not what others serve.
 */
const TELLS_CHANGES: ReadonlySet<number> = new Set([
  ...[EXT, XFS, BTRFS, F2FS, TMPFS, RAMFS],
  ...[SQUASHFS, EROFS, ISOFS, FAT, EXFAT, BCACHEFS],
]);

/** @param fd open on it @throws what reading it throws */
export function describeDevice(fd: number): DeviceInfo {
  const { magic, type, uuid, isReadOnly = false } = fileSystem(fd);
  const dot = type?.indexOf('.') ?? -1;
  const name = dot < 0 ? type : type?.slice(0, dot);
  const subtype = dot < 0 || type === undefined ? undefined : type.slice(dot + 1);
  return {
    magic,
    ...(name === undefined ? {} : { name }),
    ...(subtype === undefined ? {} : { subtype }),
    ...(uuid === undefined ? {} : { uuid: Uint8Array.from(uuid) }),
    tellsChanges: TELLS_CHANGES.has(magic),
    isReadOnly,
    isUnverifiable: magic === FUSE,
  };
}
