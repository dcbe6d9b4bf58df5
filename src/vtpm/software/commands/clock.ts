/** Clocks and timers: TPM 2.0 Part 3, 29. */
import type { TPMS_TIME_INFO } from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import type { Machine } from '../machine.ts';
import { refuse } from '../refusal.ts';

/** Time, clock and counters as they are now (Part 1, 36). */
export function timeInfo(machine: Machine): TPMS_TIME_INFO {
  const { permanent, volatile } = machine;
  return {
    time: machine.time,
    clockInfo: {
      clock: machine.clock,
      resetCount: permanent.resetCount,
      restartCount: volatile.restartCount,
      safe: volatile.isClockSafe,
    },
  };
}

export const clock = {
  /** 29.1 */
  TPM2_ReadClock: (machine) => ({ currentTime: timeInfo(machine) }),

  /** 29.2: forward only, and not into the last 2^48 milliseconds. */
  TPM2_ClockSet(machine, { newTime }) {
    if (newTime > 0xffff_0000_0000_0000n || newTime < machine.clock) refuse('VALUE', 'newTime');
    machine.setClock(newTime);
    machine.changed();
    return {};
  },
} satisfies Handlers;
