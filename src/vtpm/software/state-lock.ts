/**
 * One process at a time uses a state file: two would each overwrite what the other had measured. Who has it is said in
 * `FILE.lock`, which appears whole or not at all. A killed process leaves its lock behind. Only who holds the lock
 * `FILE.lock.takeover`, made in the same way, may replace that: otherwise the slower of two who found the same dead
 * lock would remove the new one of the faster.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { createFile, replaceFile } from '../../sys/index.ts';
import { stateIo, VtpmError } from '../error.ts';

/** A lock tells of this boot of the machine only: it need not reach the disk. */
const FLEETING = { durable: false };

/** How often the lock may change between two looks before that is no coincidence. */
const MAX_ATTEMPTS = 100;

/** @returns what releases the file @throws {VtpmError} `vtpm.state-in-use` naming the process that has it, `vtpm.state-io` */
export async function lockStateFile(file: string): Promise<() => Promise<void>> {
  const lock = `${file}.lock`;
  try {
    const own = ownText();
    const holder = await acquire(lock, own);
    if (holder !== undefined) throw inUse(file, holder);
    return async () => {
      if ((await textOf(lock)) === own) await rm(lock, { force: true });
    };
  } catch (error) {
    if (error instanceof VtpmError) throw error;
    throw stateIo(`the software TPM's state ${file} cannot be locked`, error);
  }
}

/** @returns the living process that has the lock; undefined where it is this one now */
async function acquire(lock: string, own: string): Promise<string | undefined> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    if (await createFile(lock, own, FLEETING)) return undefined;
    const found = await textOf(lock);
    if (found === undefined) continue; // its holder let go in between
    const holder = livingHolder(found) ?? (await replaceDead(lock, found, own));
    if (holder !== undefined) return holder;
    if ((await textOf(lock)) === own) return undefined;
  }
  throw new Error(`${lock} changes all the time`);
}

/** Puts the own lock where a dead process left its, if it is still that. @returns the living process that is about it */
async function replaceDead(lock: string, dead: string, own: string): Promise<string | undefined> {
  const takeover = `${lock}.takeover`;
  const holder = await acquire(takeover, own);
  if (holder !== undefined) return holder;
  try {
    if ((await textOf(lock)) === dead) await replaceFile(lock, own, FLEETING);
  } finally {
    await rm(takeover, { force: true });
  }
  return undefined;
}

function ownText(): string {
  const identity = identify(String(process.pid));
  if (identity === undefined) throw new Error('/proc does not show this process');
  return `${identity} ${randomBytes(8).toString('hex')}\n`;
}

async function textOf(lock: string): Promise<string | undefined> {
  try {
    return await readFile(lock, 'latin1');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A lock's words: a process, its start, the machine's boot, and one that no other lock has. */
function livingHolder(text: string): string | undefined {
  const [pid = '', start, boot] = text.split(' ');
  return /^\d+$/.test(pid) && identify(pid) === `${pid} ${start} ${boot}` ? pid : undefined;
}

/**
 * A process for ever: its number alone may be another's by now, and start times repeat from boot to boot.
 * @returns undefined where there is none of this number
 */
function identify(pid: string): string | undefined {
  const start = startOf(pid);
  if (start === undefined) return undefined;
  return `${pid} ${start} ${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()}`;
}

/** When a process started, in clock ticks since boot: proc(5), stat, field 22. */
function startOf(pid: string): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function inUse(file: string, pid: string): VtpmError {
  return new VtpmError('vtpm.state-in-use', `the software TPM ${file} is in use: process ${pid} uses it`, {
    advice: 'stop that process, or name another TPM with --tpm',
  });
}
