import { readlinkSync } from 'node:fs';
import type { FileStatus } from '../sys/index.ts';

const DELETED = ' (deleted)';

/**
 * The path of an open file, as the kernel names it in lists and audit records (ima_api.c:ima_d_path), which says of no
 * file that it was deleted. Empty where it has none.
 */
export function pathOfOpen(fd: number, status: FileStatus | undefined): Uint8Array {
  try {
    const path = readlinkSync(`/proc/self/fd/${fd}`, 'buffer');
    const isDeleted = status?.links === 0 && path.toString('latin1').endsWith(DELETED);
    return Uint8Array.from(isDeleted ? path.subarray(0, -DELETED.length) : path);
  } catch {
    return new Uint8Array();
  }
}
