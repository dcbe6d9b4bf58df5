/** Which file systems are to be watched, of all that are mounted. */
import { canHoldPrograms, type Mount } from '../../sys/index.ts';

/**
 * `local`: this kernel alone changes it, and nobody is waited for who may not answer. Opening a file of any other, which
 * the kernel does for us with each event, may wait for whoever serves it, so that those have a thread of their own.
 */
export type LaneName = 'local' | 'remote';

export interface WatchedMount {
  readonly path: string;
  readonly type: string;
  readonly device: string;
  readonly lane: LaneName;
}

const LOCAL = new Set(
  (
    'bcachefs btrfs cramfs erofs exfat ext2 ext3 ext4 f2fs iso9660 jffs2 jfs minix msdos nilfs2 ntfs3 ramfs reiserfs ' +
    'romfs squashfs tmpfs ubifs udf vfat xfs zfs'
  ).split(' '),
);

/** Device files, whose opening does something to the device, and no programs. */
const DEVICES = 'devtmpfs';

/** @param places mount points, at and beneath which everything is watched @param mounts of mountinfo */
export function watchedMounts(places: readonly string[], mounts: readonly Mount[]): WatchedMount[] {
  const watched = new Map<string, WatchedMount>();
  for (const { path, type, device } of mounts) {
    if (!canHoldPrograms(type) || type === DEVICES) continue;
    if (!places.some((place) => isAtOrBeneath(path, place))) continue;
    watched.set(device, { path, type, device, lane: LOCAL.has(type) ? 'local' : 'remote' });
  }
  return [...watched.values()];
}

function isAtOrBeneath(path: string, place: string): boolean {
  return place === '/' || path === place || path.startsWith(`${place}/`);
}
