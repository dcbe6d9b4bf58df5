/** Time, clock and counters (Part 1, 36; Part 4, Time.c). */
import type { TPMS_TIME_INFO } from '../../tpm/index.ts';
import type { Machine } from './machine.ts';

export function timeInfo({ permanent, volatile, isClockSafe }: Machine): TPMS_TIME_INFO {
  return {
    time: volatile.time,
    clockInfo: {
      clock: permanent.clock,
      resetCount: permanent.resetCount,
      restartCount: volatile.restartCount,
      safe: isClockSafe,
    },
  };
}
