/** Clocks and timers: TPM 2.0 Part 3, 29. */
import { timeInfo } from '../clock.ts';
import type { Handlers } from '../handler.ts';
import { NOMINAL_RATE } from '../machine.ts';
import { refuse } from '../refusal.ts';

/** Part 4, PlatformClock.h: how far a step trims the rate of the platform's clock, and how far all of them may. */
const STEPS = {
  coarse_slower: 300,
  medium_slower: 30,
  fine_slower: 1,
  none: 0,
  fine_faster: -1,
  medium_faster: -30,
  coarse_faster: -300,
} as const;
const MOST = 5000;

export const clock = {
  /** 29.1 */
  TPM2_ReadClock: (machine) => ({ currentTime: timeInfo(machine) }),

  /** 29.2: forward only, and not into the last 2^48 milliseconds. */
  TPM2_ClockSet(machine, { newTime }) {
    if (newTime > 0xffff_0000_0000_0000n || newTime < machine.permanent.clock) refuse('VALUE', 'newTime');
    machine.permanent.clock = newTime;
    machine.changed();
    return {};
  },

  /** 29.3: more units of the platform's clock in a millisecond make the TPM's slower. */
  TPM2_ClockRateAdjust({ volatile }, { rateAdjust }) {
    const asked = volatile.clockRate + STEPS[rateAdjust];
    volatile.clockRate = Math.min(NOMINAL_RATE + MOST, Math.max(NOMINAL_RATE - MOST, asked));
    return {};
  },
} satisfies Handlers;
