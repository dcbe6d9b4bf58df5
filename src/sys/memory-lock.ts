/** Keeps a process answering where memory is short: what it uses stays in memory, and others are killed before it. */
import { writeFileSync } from 'node:fs';
import { native } from './native.ts';

const mlockall = native<[number], number>('int mlockall(int flags)');

/** Without MCL_ONFAULT the whole of V8's reserved address space would be filled with pages at once. */
const MCL_CURRENT_FUTURE_ONFAULT = 1 | 2 | 4;

export interface StayingPower {
  readonly isLocked: boolean;
  readonly isSpared: boolean;
}

/** For this process. What the kernel refuses (not root, RLIMIT_MEMLOCK) is told, not raised. */
export function stayInMemory(): StayingPower {
  const isLocked = mlockall(MCL_CURRENT_FUTURE_ONFAULT) === 0;
  try {
    writeFileSync('/proc/self/oom_score_adj', '-1000');
    return { isLocked, isSpared: true };
  } catch {
    return { isLocked, isSpared: false };
  }
}
