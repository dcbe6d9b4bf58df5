/**
 * A file that one process at a time holds, with words of its holder in it: flock(2), which the kernel gives back when the
 * holder ends, however that is, also before anybody waits for it, and whoever sees which processes.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tryFlock } from './flock.ts';

const OPEN = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
/** Of a holder's words. */
const MOST = 256;
/** How often the file may be another one between two looks before that is no coincidence. */
const MAX_ATTEMPTS = 100;

export type FileLock = { readonly release: () => void } | { readonly heldBy: string };

/**
 * @param path made where it is missing, removed when it is given back
 * @param words that tell others who has it
 * @throws the error of node:fs for a file that cannot be opened; {@link SysError}
 */
export function lockFile(path: string, words: string): FileLock {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const lock = tryLock(path, words);
    if (lock !== undefined) return lock;
  }
  throw new Error(`${path} changes all the time`);
}

/** @returns undefined where its holder let go and removed it in between */
function tryLock(path: string, words: string): FileLock | undefined {
  const fd = openSync(path, OPEN, 0o600);
  let isHeld = false;
  try {
    if (!tryFlock(fd, path)) return { heldBy: wordsIn(fd) };
    if (!isAt(fd, path)) return undefined;
    ftruncateSync(fd);
    writeSync(fd, words, 0);
    isHeld = true;
    return { release: () => release(fd, path) };
  } finally {
    if (!isHeld) closeSync(fd);
  }
}

/** Removed while it is still held: who opened it before finds that it is not there any more. */
function release(fd: number, path: string): void {
  try {
    if (isAt(fd, path)) rmSync(path, { force: true });
  } finally {
    closeSync(fd);
  }
}

function isAt(fd: number, path: string): boolean {
  const [own, there] = [fstatSync(fd, { bigint: true }), statSync(path, { bigint: true, throwIfNoEntry: false })];
  return there !== undefined && own.ino === there.ino && own.dev === there.dev;
}

function wordsIn(fd: number): string {
  const buffer = Buffer.alloc(MOST);
  return buffer.toString('latin1', 0, readSync(fd, buffer, 0, MOST, 0));
}
