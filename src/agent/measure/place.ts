/**
 * Under which path a file in use is listed.
 *
 * - What lies under its path: that path.
 * - A deleted or replaced file: the path that it had, with the digest of the content in use. A reference for that path
 *   then judges the entry as changed, and the observation words it.
 * - A file of another mount namespace (a container) that is not under the same path in ours: its path there, after
 *   `/@namespace`. The kernel's IMA lists the bare path, so that a container's /usr/bin/sh is taken for the host's; to
 *   leave it out would let anybody hide behind unshare(1).
 * - A program without a file (memfd_create(2)): `memfd:NAME`, the name that the kernel's IMA gives it.
 * - Memory that is a file only inside the kernel (shared anonymous memory, System V, huge pages): no program; not listed.
 *   What it is decides, never its name: in a mount namespace of one's own anybody runs a program called /dev/zero.
 */
import { type BigIntStats, readlinkSync, statSync } from 'node:fs';
import { kernelMemoryDevices } from '../../sys/index.ts';

export const OTHER_NAMESPACE = '/@namespace';
const DELETED = ' (deleted)';
const MEMFD = /^\/memfd:(.*) \(deleted\)$/s;

/**
 * Whether the file in use is what lies under its path: `on-disk`; `deleted`, nothing lies there; `replaced`, something
 * else does; `elsewhere`, in another mount namespace, below another mount, or never in a file system.
 */
export type FileState = 'on-disk' | 'deleted' | 'replaced' | 'elsewhere';

export interface Place {
  /** One character a byte. */
  readonly path: string;
  readonly state: FileState;
}

export interface InUse {
  /** What the kernel says its path is, by readlink of an open file; one character a byte. */
  readonly link: string;
  readonly stats: BigIntStats;
  readonly pid: number;
  /** Of a mapping: shared between processes. */
  readonly isShared: boolean;
}

/** @returns undefined for what is not a program's file */
export function placeOf(file: InUse): Place | undefined {
  if (isSameFile(file.link, file.stats)) return { path: file.link, state: 'on-disk' };
  const memfd = MEMFD.exec(file.link)?.[1];
  // A shared mapping of a memfd is a compiler's own output seen twice, once to write and once to run. The name is enough
  // here: a file that is only called so hides nothing that a true memfd would not.
  if (memfd !== undefined) {
    return file.isShared ? undefined : { path: `memfd:${memfd}`, state: 'elsewhere' };
  }
  const isDeleted = file.link.endsWith(DELETED);
  if (isDeleted && kernelMemoryDevices().has(file.stats.dev)) return undefined;
  if (isDeleted) return deletedPlace(file.link.slice(0, -DELETED.length), file.pid);
  // Neither there nor deleted: it lies in another mount namespace, or another mount hides it.
  const path = isInOtherNamespace(file.pid) ? OTHER_NAMESPACE + file.link : file.link;
  return { path, state: 'elsewhere' };
}

function deletedPlace(path: string, pid: number): Place {
  const isForeign = isInOtherNamespace(pid) && !hasOurRoot(pid);
  const successor = isForeign ? `/proc/${pid}/root${path}` : path;
  const state = statOf(successor) === undefined ? 'deleted' : 'replaced';
  return { path: isForeign ? OTHER_NAMESPACE + path : path, state };
}

function isSameFile(path: string, stats: BigIntStats): boolean {
  const there = statOf(path);
  return there !== undefined && there.ino === stats.ino && there.dev === stats.dev;
}

function isInOtherNamespace(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`) !== readlinkSync('/proc/self/ns/mnt');
  } catch {
    return false; // the process has ended, or is not ours to look at
  }
}

/** Services with a private /tmp have a mount namespace and still the machine's own root. */
function hasOurRoot(pid: number): boolean {
  const ours = statOf('/');
  return ours !== undefined && isSameFile(`/proc/${pid}/root`, ours);
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(Buffer.from(path, 'latin1'), { bigint: true });
  } catch {
    return undefined;
  }
}
