import { readlinkSync } from 'node:fs';
import type { FileStatus } from '../sys/index.ts';

const DELETED = ' (deleted)';

/**
 * The path of an open file, as the kernel names it in lists and audit records (ima_api.c:ima_d_path), which says of no
 * file that it was deleted. Empty where it has none.
 */
export function pathOfOpen(fd: number, status: FileStatus | undefined): Uint8Array {
  return Uint8Array.from(Buffer.from(nameOfOpen(fd, status), 'latin1'));
}

/** The same, its bytes as Latin-1. */
export function nameOfOpen(fd: number, status: FileStatus | undefined): string {
  try {
    const path = readlinkSync(`/proc/self/fd/${fd}`, 'latin1');
    return status?.links === 0 && path.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path;
  } catch {
    return '';
  }
}
