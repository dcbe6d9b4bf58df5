/**
 * A list that comes in parts: an attester sends so much of it at once, and only the last part reaches the quoted PCR 10.
 * What was replayed until then is remembered with its findings and is no verdict: it may be all made up. The hash chain
 * proves every part at once, when a later quote of the same boot is reached.
 */
import type { ReplayState } from '../ima/index.ts';
import type { CompiledReference } from '../reference/index.ts';
import type { QuoteAttestation } from '../tpm/index.ts';
import type { StandingFindings, UnprovenReplay } from './types.ts';

/** An attester that has more sends at least so much; less is the list's end, which must reach the quote. */
const MIN_PROGRESS = 256 * 1024;
/** Bounds of what a host may send without a verdict; beyond them it begins again, and that counts as behind. */
const MAX_UNPROVEN_BYTES = 1024 * 1024 * 1024;
const MAX_UNPROVEN_MS = 10 * 60_000;

/** A list that was replayed to its end and did not reach the quote. */
export interface ListBehind {
  /** Where the replay began with this evidence, and where it ended. */
  readonly start: ReplayState;
  readonly end: ReplayState;
  readonly standing: StandingFindings;
}

export interface Continuation {
  /** Undefined where a bound was reached, and for a short list that lags: it is sent again. */
  readonly unproven: UnprovenReplay | undefined;
  /** It is not behind: it came as far as one message carries. */
  readonly isProgress: boolean;
}

type Counters = Pick<QuoteAttestation, 'clockInfo'>;

/** True where both are of one run of the TPM, in which PCR 10 only went on. */
export function isOfSameBoot(unproven: UnprovenReplay, { clockInfo }: Counters): boolean {
  return unproven.resetCount === clockInfo.resetCount && unproven.restartCount === clockInfo.restartCount;
}

/** @param held what was unproven before, of whichever boot: sending the same again, or rebooting, is no progress */
export function continuation(
  { start, end, standing }: ListBehind,
  held: UnprovenReplay | undefined,
  { clockInfo }: Counters,
  reference: CompiledReference | undefined,
  now: number,
): Continuation {
  const since = held?.since ?? now;
  const continues = start === held?.ima;
  const firstByte = continues ? held.firstByte : start.bytes;
  const isProgress = end.bytes - Math.max(start.bytes, held?.ima.bytes ?? 0) >= MIN_PROGRESS;
  const isTooMuch = end.bytes - firstByte > MAX_UNPROVEN_BYTES || now - since > MAX_UNPROVEN_MS;
  if (isTooMuch || !(isProgress || continues)) return { unproven: undefined, isProgress: false };
  const unproven: UnprovenReplay = {
    resetCount: clockInfo.resetCount,
    restartCount: clockInfo.restartCount,
    since,
    firstByte,
    ima: end,
    findings: standing,
    ...(reference === undefined ? {} : { referenceId: reference.id }),
    referenceExpired: reference?.hasExpired(now) ?? false,
  };
  return { unproven, isProgress };
}
