/** Who sees the memory of this process. */
import { callFailed } from './error.ts';
import { errno, native } from './native.ts';

/** linux/prctl.h */
const PR_SET_DUMPABLE = 4;

const prctl = native<[number, number, number, number, number], number>(
  'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
);

/**
 * From now on this process leaves no core dump, and nobody but root attaches to it or reads its memory (prctl(2),
 * PR_SET_DUMPABLE): for who holds secrets.
 * @throws {SysError} `sys.unavailable`, `sys.call-failed`
 */
export function forbidDumps(): void {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) !== 0) throw callFailed('prctl', 'PR_SET_DUMPABLE', errno());
}
