/**
 * The watchdog of a guard that has ended keeps refusing where that was chosen, until the next guard ends it. The guard's
 * folder holds their numbers, one a line.
 */
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const WATCHDOGS = 'watchdog.pids';

/** To be called as soon as there is a watchdog: who does not know it cannot end it. */
export function noteWatchdog(folder: string, pid: number): void {
  appendFileSync(join(folder, WATCHDOGS), `${pid}\n`, { mode: 0o600 });
}

/** Ends every watchdog of the folder but this one. @returns how many */
export function endPredecessors(folder: string, current: number | undefined): number {
  const predecessors = noted(folder).filter((pid) => pid !== current && isWatchdog(pid));
  for (const pid of predecessors) process.kill(pid, 'SIGTERM');
  noteOnly(folder, current);
  return predecessors.length;
}

function noteOnly(folder: string, current: number | undefined): void {
  writeFileSync(join(folder, WATCHDOGS), current === undefined ? '' : `${current}\n`, { mode: 0o600 });
}

export function forgetWatchdogs(folder: string): void {
  rmSync(join(folder, WATCHDOGS), { force: true });
}

function noted(folder: string): number[] {
  try {
    const lines = readFileSync(join(folder, WATCHDOGS), 'latin1').split('\n');
    return lines.filter((line) => /^\d{1,10}$/.test(line)).map(Number);
  } catch {
    return [];
  }
}

/** The number may be another process's by now. */
function isWatchdog(pid: number): boolean {
  try {
    return /\/guard\/watchdog\/process\.[jt]s\0/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
  } catch {
    return false;
  }
}
