/** How long to wait before the next attempt to reach the server: doubling from half a second to half a minute. */

const FIRST = 500;
const LONGEST = 30_000;

/**
 * Milliseconds before attempt number `attempt` (1 is the first after the loss).
 * @param chance in [0, 1): spreads many pages that lost the same server, by up to a quarter
 */
export function backoff(attempt: number, chance: number): number {
  const wait = Math.min(LONGEST, FIRST * 2 ** Math.min(attempt - 1, 10));
  return Math.round(wait * (1 - chance / 4));
}
