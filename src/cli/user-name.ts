/** Users and groups by name, from the files of this machine alone: no name service is asked. */
import { readFileSync } from 'node:fs';
import { UsageError } from './usage-error.ts';

export interface User {
  readonly uid: number;
  /** Its primary group; for a number that no user has, the same number. */
  readonly gid: number;
}

/** @param user a name of /etc/passwd, or a number @throws {UsageError} */
export function parseUser(user: string): User {
  const lines = linesOf('/etc/passwd');
  const line = lines.find(([name]) => name === user) ?? lines.find(([, , uid]) => uid === user);
  if (line !== undefined) return { uid: Number(line[2]), gid: Number(line[3]) };
  const uid = idOf(user);
  if (uid === undefined) throw new UsageError(`/etc/passwd has no user '${user}'`, 'give its number');
  return { uid, gid: uid };
}

/** @param group a name of /etc/group, or a number @throws {UsageError} */
export function parseGroup(group: string): number {
  const line = linesOf('/etc/group').find(([name]) => name === group);
  const gid = line === undefined ? idOf(group) : Number(line[2]);
  if (gid === undefined) throw new UsageError(`/etc/group has no group '${group}'`, 'give its number');
  return gid;
}

const idOf = (text: string): number | undefined =>
  /^\d{1,10}$/.test(text) && Number(text) < 0xffff_ffff ? Number(text) : undefined;

function linesOf(file: string): string[][] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split(':'));
  } catch (error) {
    // A machine without users' names: numbers are enough.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
