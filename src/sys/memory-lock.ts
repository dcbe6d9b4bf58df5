/** Keeps a process answering where memory is short: its code stays in memory, and others are killed before it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { native } from './native.ts';

const mlock2 = native<[bigint, bigint, number], number>(
  'int mlock2(uintptr_t address, size_t length, unsigned int flags)',
);

/** What is not in memory yet is locked when it is used. */
const MLOCK_ONFAULT = 1;

export interface StayingPower {
  readonly isLocked: boolean;
  readonly isSpared: boolean;
}

/**
 * For this process, and of its memory the code alone: V8 gives pages of its heap back with madvise(2), which the kernel
 * refuses for locked ones, and V8 then ends the process. What the kernel refuses (not root, RLIMIT_MEMLOCK) is told, not
 * raised.
 */
export function stayInMemory(): StayingPower {
  const isLocked = codeRanges().every(([start, end]) => mlock2(start, end - start, MLOCK_ONFAULT) === 0);
  try {
    writeFileSync('/proc/self/oom_score_adj', '-1000');
    return { isLocked, isSpared: true };
  } catch {
    return { isLocked, isSpared: false };
  }
}

/** Executable mappings of files: the program, its libraries, the native module. */
function codeRanges(): [start: bigint, end: bigint][] {
  const maps = readFileSync('/proc/self/maps', 'latin1');
  return [...maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) r-x. \S+ \S+ [1-9]\d* +\//gm)].map(
    ([, start = '0', end = '0']) => [BigInt(`0x${start}`), BigInt(`0x${end}`)],
  );
}
