/**
 * Entries for what could not be measured. They go into the list and the PCR as any other, so that the quote vouches for
 * them and a verifier reports them; their digest is of no content, so that no reference approves them.
 */
import { digest } from '../../bytes/index.ts';

/** `too-long`: longer than MAX_HASHED; `unreadable`: in use, and no one may read it; `gap`: executions went unseen. */
export type Unmeasured = 'too-long' | 'unreadable' | 'gap';

/** Names of a gap's entry: no path, as it names no file. Executions were too many; a file that gave nothing held us up. */
export const GAP = 'gap:fanotify-queue-overflow';
export const HELD_UP = 'gap:measuring-held-up';

/**
 * SHA-256 over `assay unmeasured`, NUL, the reason, NUL, and a detail in decimal: the size of a file that is too long, 0
 * of one that is unreadable, the time of a gap in ms. A program would have to begin with those very words to match.
 */
export function unmeasuredDigest(why: Unmeasured, detail: bigint): Buffer {
  return digest('sha256', Buffer.from(`assay unmeasured\0${why}\0${detail}`));
}
