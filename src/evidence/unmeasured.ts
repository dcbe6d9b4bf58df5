/**
 * Entries for what a measurer in user space could not measure. They go into the list and the PCR as any other, so that
 * the quote vouches for them and a verifier reports them; their digest is of no content, so that no reference approves
 * them.
 */
import { digest } from '../bytes/index.ts';

/** `too-long`: longer than the measurer hashes; `unreadable`: in use, and no one may read it; `gap`: executions went unseen. */
export type Unmeasured = 'too-long' | 'unreadable' | 'gap';

/** Names of a gap's entry: no path, as it names no file. Executions were too many; a file that gave nothing held us up. */
export const OVERFLOW_GAP = 'gap:fanotify-queue-overflow';
export const HELD_UP_GAP = 'gap:measuring-held-up';

/**
 * SHA-256 over `assay unmeasured`, NUL, the reason, NUL, and a detail in decimal: the size of a file that is too long, 0
 * of one that is unreadable, the time of a gap in ms. A program would have to begin with those very words to match.
 */
export function unmeasuredDigest(why: Unmeasured, detail: bigint): Buffer {
  return digest('sha256', Buffer.from(`assay unmeasured\0${why}\0${detail}`));
}

const UNREADABLE = `sha256:${unmeasuredDigest('unreadable', 0n).toString('hex')}`;

/**
 * What kept an entry from being a measurement, as far as the entry itself tells: a file that is too long is told by its
 * size, which no entry holds.
 * @param tagged the entry's digest as `sha256:hex`
 */
export function unmeasuredReason(path: string, tagged: string): 'unreadable' | 'gap' | undefined {
  if (path === OVERFLOW_GAP || path === HELD_UP_GAP) return 'gap';
  return tagged === UNREADABLE ? 'unreadable' : undefined;
}
