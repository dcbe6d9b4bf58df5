/**
 * Runs in the guest: runs each program of a list and writes down what came of it, and what the kernel's integrity
 * subsystem told the audit log. Usage: LIST ANSWER, JSON files of paths and of FileAnswer.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { INTEGRITY_AUDIT, parseIntegrityRecord } from '../../../src/ima/index.ts';
import { AuditSocket } from '../../../src/sys/index.ts';
import type { FileAnswer } from '../file-trials.ts';

/** A record that was written before the call returned comes through a kernel thread. */
const PATIENCE_MS = 5000;

const [, , list = '', answer = ''] = process.argv;
const paths: readonly string[] = JSON.parse(readFileSync(list, 'utf8'));

using socket = new AuditSocket();
const causes = new Map<string, string>();

/** Only what the appraisal says of a file: its first word counts, one call may ask at more than one hook. */
function listen(): void {
  for (const event of socket.read()) {
    if (event.kind === 'overflow') throw new Error('audit records were lost');
    if (event.type !== INTEGRITY_AUDIT.data) continue;
    const { op, cause, name } = parseIntegrityRecord(event.text);
    const path = name?.toString() ?? '';
    if (!causes.has(path)) causes.set(path, `${op} ${cause}`);
  }
}

function attempt(path: string): string {
  const { error, status } = spawnSync(path);
  if (error === undefined) return status === 0 ? 'ok' : `exit ${status}`;
  return 'code' in error ? `${error.code}` : error.message;
}

const sleep = (ms: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
};

const outcomes = paths.map((path) => ({ path, outcome: attempt(path) }));
const isUnexplained = () => outcomes.some(({ path, outcome }) => outcome !== 'ok' && !causes.has(path));
const end = performance.now() + PATIENCE_MS;
do {
  listen();
  sleep(20);
} while (isUnexplained() && performance.now() < end);

const answers = outcomes.map(({ path, outcome }): FileAnswer => {
  const cause = causes.get(path);
  return { path, outcome, ...(cause === undefined ? {} : { cause }) };
});
writeFileSync(answer, JSON.stringify(answers));
