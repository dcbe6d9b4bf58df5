/** flock(2), which the kernel gives back when its holder ends, however that is. */
import { callFailed } from './error.ts';
import { errno, native } from './native.ts';

const flock = native<[number, number], number>('int flock(int fd, int operation)');

/** asm-generic/fcntl.h: LOCK_EX, and LOCK_NB, without which it would hold up everything else in this process. */
const EXCLUSIVE = 2 | 4;
const EAGAIN = 11;

/** @param path for errors @returns false where another has it @throws {SysError} */
export function tryFlock(fd: number, path: string): boolean {
  if (flock(fd, EXCLUSIVE) === 0) return true;
  if (errno() === EAGAIN) return false;
  throw callFailed('flock', path, errno());
}
