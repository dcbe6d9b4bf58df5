import { readFileSync, realpathSync } from 'node:fs';
import { parseMountInfo } from '../../sys/index.ts';
import { GuardError } from '../error.ts';

/**
 * A place that is no mount point would mean the whole file system that holds it, often the machine's own.
 * @throws {GuardError} `guard.not-a-mount`
 */
export function checkPlaces(places: readonly string[]): void {
  if (places.length === 0)
    throw new GuardError('guard.option', 'nothing is to be watched', { advice: 'name a mount point' });
  const mounts = new Set(parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1')).map(({ path }) => path));
  for (const place of places) {
    if (mounts.has(Buffer.from(place).toString('latin1'))) continue;
    throw new GuardError('guard.not-a-mount', `${place} is no mount point`, {
      advice: `a file system is watched as a whole: name where it is mounted (findmnt --target ${realPathOf(place)})`,
    });
  }
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
