/**
 * Runs in the guest: runs each program of a list, or loads it as a kernel, and writes down what came of it, and what the kernel's integrity
 * subsystem told the audit log. Usage: run|load LIST ANSWER, JSON files of paths and of FileAnswer.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { integrityType, parseStamped } from '../../../src/ima/index.ts';
import { AuditSocket } from '../../../src/sys/index.ts';
import type { FileAnswer } from '../file-trials.ts';
import { loadAsKernel } from './kexec-load.ts';

/** A record that was written before the call returned comes through a kernel thread. */
const PATIENCE_MS = 5000;

const [, , how, list = '', answer = ''] = process.argv;
const paths: readonly string[] = JSON.parse(readFileSync(list, 'utf8'));

using socket = new AuditSocket();
/** Inode number → operation and cause. Not by name: `collect_data` gives the last part of the path alone. */
const causes = new Map<bigint, string>();

/** Only what the appraisal says of a file: its first word counts, one call may ask at more than one hook. */
function listen(): void {
  for (const event of socket.read()) {
    if (event.kind === 'overflow') throw new Error('audit records were lost');
    if (integrityType(event.type) !== 'INTEGRITY_DATA') continue;
    const found = parseStamped('INTEGRITY_DATA', event.text);
    if (found.kind === 'unreadable') throw found.error;
    if (found.record.kind !== 'operation') continue;
    const { op, cause, ino } = found.record;
    if (ino !== undefined && !causes.has(ino)) causes.set(ino, `${op} ${cause}`);
  }
}

function attempt(path: string): string {
  if (how === 'load') return loadAsKernel(path);
  const { error, status } = spawnSync(path);
  if (error === undefined) return status === 0 ? 'ok' : `exit ${status}`;
  return 'code' in error ? `${error.code}` : error.message;
}

const sleep = (ms: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
};

const outcomes = paths.map((path) => ({ path, ino: statSync(path, { bigint: true }).ino, outcome: attempt(path) }));
const isUnexplained = () => outcomes.some(({ ino, outcome }) => outcome !== 'ok' && !causes.has(ino));
const end = performance.now() + PATIENCE_MS;
do {
  listen();
  sleep(20);
} while (isUnexplained() && performance.now() < end);

const answers = outcomes.map(({ path, ino, outcome }): FileAnswer => {
  const cause = causes.get(ino);
  return { path, outcome, ...(cause === undefined ? {} : { cause }) };
});
writeFileSync(answer, JSON.stringify(answers));
