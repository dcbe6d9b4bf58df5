/** How a quote stands to the last one of this host, by the TPM's counters and clock (TPM 2.0 Part 1, 36). */
import type { QuoteAttestation } from '../tpm/index.ts';
import { finding } from './sentence.ts';
import type { BootState, Finding } from './types.ts';

/**
 * `first`: nothing is known. `same`: the TPM ran on. `resumed`: it was resumed, or restarted after an orderly suspend;
 * the PCRs may be kept or cleared. `new-boot`: it was reset.
 */
export type BootRelation = 'first' | 'same' | 'resumed' | 'new-boot';

export interface ClockVerdict {
  readonly relation: BootRelation;
  /** The quote cannot be later than the last one. */
  readonly failure?: Finding;
  readonly warning?: Finding;
}

/** TPM oscillators may be off by some percent, and a quote waits for its transport. */
const DRIFT_FRACTION = 0.2;
const DRIFT_SLACK_MS = 30_000;

/** @param now the verifier's time in milliseconds */
export function checkClock(
  last: BootState | undefined,
  { clockInfo }: Pick<QuoteAttestation, 'clockInfo'>,
  now: number,
): ClockVerdict {
  if (last === undefined) return { relation: 'first' };
  const resets = counterAdvance(last.resetCount, clockInfo.resetCount);
  const restarts = counterAdvance(last.restartCount, clockInfo.restartCount);
  const clock = Number(clockInfo.clock);
  if (resets < 0) {
    const details = { expected: `at least ${last.resetCount}`, found: String(clockInfo.resetCount) };
    const what = `The TPM’s reset counter fell from ${last.resetCount} to ${clockInfo.resetCount}`;
    return { relation: 'same', failure: finding('clock.older-boot', 'TPM clock', what, details) };
  }
  const wentBack = clock < last.clock;
  // After a reset without shutdown the clock may stand where it was last saved; `safe` then says no.
  if ((resets === 0 && (restarts < 0 || wentBack)) || (wentBack && clockInfo.safe)) {
    const details = { expected: `at least ${last.clock} ms`, found: `${clock} ms` };
    const what = restarts < 0 ? 'The TPM’s restart counter fell' : `The TPM’s clock fell by ${last.clock - clock} ms`;
    return { relation: 'same', failure: finding('clock.backwards', 'TPM clock', what, details) };
  }
  if (resets > 0) return { relation: 'new-boot' };
  if (restarts > 0) return { relation: 'resumed' };
  const drift = driftOf(clock - last.clock, now - last.clockSeenAt);
  return drift === undefined ? { relation: 'same' } : { relation: 'same', warning: drift };
}

/**
 * Counters are obfuscated by a constant of the key where it is outside the endorsement and platform hierarchies (Part 1,
 * 36.7), so they may wrap; the difference modulo 2^32 is the same.
 */
function counterAdvance(before: number, after: number): number {
  return (after - before) | 0;
}

function driftOf(advance: number, elapsed: number): Finding | undefined {
  const tolerance = DRIFT_SLACK_MS + Math.abs(elapsed) * DRIFT_FRACTION;
  const difference = advance - elapsed;
  if (Math.abs(difference) <= tolerance) return undefined;
  const seconds = Math.round(Math.abs(difference) / 1000);
  const what = `Since the last quote the TPM counted ${seconds} s ${difference < 0 ? 'less' : 'more'} than passed here`;
  return finding('clock.drift', 'TPM clock', what, { expected: `${elapsed} ms`, found: `${advance} ms` });
}
