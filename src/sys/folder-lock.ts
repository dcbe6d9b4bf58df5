/**
 * One process at a time changes what lies in a folder, among those who ask for it: flock(2) on the folder itself. No file is
 * left behind, and the kernel gives the lock back when its holder ends, however that is. Files that rename(2) replaces
 * cannot be locked themselves: who waited would hold one that has no name any more.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { tryFlock } from './flock.ts';

const STEP_MS = 20;

/**
 * @param patience in milliseconds: how long another's lock is waited for
 * @returns what gives the lock back; undefined where another has it all that time
 * @throws the error of node:fs for a folder that cannot be opened; {@link SysError}
 */
export async function lockFolder(folder: string, patience: number): Promise<(() => void) | undefined> {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (const end = Date.now() + patience; !tryFlock(fd, folder); ) {
      if (Date.now() >= end) {
        closeSync(fd);
        return undefined;
      }
      await wait(STEP_MS);
    }
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return () => closeSync(fd);
}
