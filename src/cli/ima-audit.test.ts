import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { KERNEL_MESSAGES } from '../../test/fixtures/audit-records.ts';

const MAIN = join(import.meta.dirname, 'main.ts');

function audit(input: string, ...args: readonly string[]) {
  return spawnSync(process.execPath, [MAIN, 'ima', 'audit', ...args], { encoding: 'utf8', input });
}

const linesOf = (text: string): string[] => text.split('\n').slice(0, -1);

test('a record is a line, and below it what it means and what to do', () => {
  const { status, stdout, stderr } = audit(`[   38.0] ${KERNEL_MESSAGES.missingHash}\n`, '-');
  assert.deepEqual(linesOf(stdout), [
    '2026-11-28T13:23:02.815Z  failure  appraise_data missing-hash  /srv/before/plain (nvme0n1, inode 7700)  by MainThread (process 413, uid 0)',
    '    The policy appraises the file, and it has no label (security.ima). If its content is right, label it anew: assay label FILE. Copies without extended attributes and files of packages that bring no labels have none.',
    '1 record, 1 of a failure or doubt',
  ]);
  assert.equal(stderr, 'assay: records of standard input\n');
  assert.equal(status, 1);
});

test('JSON, an object a line, has every field', () => {
  const messages = [
    KERNEL_MESSAGES.nameNotUtf8,
    KERNEL_MESSAGES.fileHash,
    KERNEL_MESSAGES.ruleRefused,
    KERNEL_MESSAGES.policyFailed,
  ];
  const objects = linesOf(audit(messages.join('\n'), '-', '--json').stdout).map((line) => JSON.parse(line));
  const [denial, hash, rule, policy] = objects;
  const about = { weight: 'string', meaning: 'string', repair: 'string', isKnown: 'boolean', text: 'string' };
  const head = { kind: 'string', time: 'string', serial: 'number', type: 'string' };
  const process = { pid: 'number', uid: 'number', auid: 'number', ses: 'number', subj: 'string', comm: 'string' };
  const result = { op: 'string', cause: 'string', succeeded: 'boolean', errno: 'number' };
  const ids = ['ppid', 'gid', 'euid', 'suid', 'fsuid', 'egid', 'sgid', 'fsgid'];
  const shape = (value: object) => Object.fromEntries(Object.entries(value).map(([name, one]) => [name, typeof one]));
  assert.deepEqual(shape(denial), {
    ...head,
    ...process,
    ...result,
    path: 'string',
    pathHex: 'string',
    dev: 'string',
    ino: 'string',
    ...about,
  });
  assert.equal(denial.pathHex, '2f7372762f6265666f72652f66ff80');
  assert.deepEqual(shape(hash), {
    ...head,
    ...process,
    ...Object.fromEntries(ids.map((name) => [name, 'number'])),
    tty: 'string',
    exe: 'string',
    path: 'string',
    algorithm: 'string',
    digest: 'string',
    ...about,
  });
  assert.deepEqual(shape(rule), { ...head, rule: 'string', accepted: 'boolean', ...about });
  assert.deepEqual(shape(policy), { ...head, ...process, ...result, ...about });
});

test('only what was asked for: files of a glob, failures and doubts', () => {
  const all = Object.values(KERNEL_MESSAGES).join('\n');
  const causes = (...args: readonly string[]) =>
    linesOf(audit(all, '-', '--json', ...args).stdout).map((line) => JSON.parse(line).path);
  assert.deepEqual(causes('--path', '/srv/before/audited*'), ['/srv/before/audited plain']);
  // Operations that know the last part alone are compared with the last part.
  assert.deepEqual(causes('--path', '/srv/**/d*'), ['direct']);
  assert.deepEqual(causes('--path', '/usr/**'), ['direct', 'bare']);
  assert.equal(causes('--failed').length, 9);
});

test('exit status: nothing failed, something did, something cannot be read, a bad file', () => {
  const cut = KERNEL_MESSAGES.missingHash.slice(0, 120);
  assert.equal(audit('other lines\n', '-').status, 0);
  assert.equal(audit(KERNEL_MESSAGES.ruleAccepted, '-').status, 0);
  assert.equal(audit(KERNEL_MESSAGES.openWriters, '-').status, 1);
  assert.equal(audit(`${cut}\n`, '-').status, 3);
  assert.equal(audit(`${cut}\n${KERNEL_MESSAGES.missingHash}`, '-').status, 1);
  assert.equal(audit('kauditd_printk_skb: 35 callbacks suppressed\n', '-').status, 3);
  assert.equal(audit('', '/nonexistent').status, 2);
  assert.equal(audit('', '/tmp').status, 2);
  assert.equal(audit('', '-', '--follow').status, 2);
  assert.equal(audit('', '-', '--journal').status, 2);
  const damaged = audit('__CURSOR=1\nnonsense\n', '-', '--json');
  assert.deepEqual([damaged.status, JSON.parse(damaged.stdout).error.code], [2, 'parse.invalid']);
});

test('what cannot be read is shown with its place, and what would move the cursor is not', () => {
  const cut = `${KERNEL_MESSAGES.missingHash.slice(0, 120)}\u001b[31m`;
  const { stdout } = audit(`a line\n${cut}\n`, '-');
  assert.match(
    stdout,
    /^unreadable {2}record 2: audit record: it ends before the cause does \(at byte \d+\): audit\(.*\\x1b\[31m\n/,
  );
  const [object] = linesOf(audit(`${cut}\n`, '-', '--json').stdout).map((line) => JSON.parse(line));
  assert.deepEqual(Object.keys(object), ['kind', 'position', 'time', 'serial', 'type', 'error', 'text']);
  assert.deepEqual(Object.keys(object.error), ['code', 'offset', 'message']);
});

/** A followed log whose records can be waited for. */
class Followed {
  readonly #child: ChildProcessByStdio<null, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(t: TestContext, file: string) {
    this.#child = spawn(process.execPath, [MAIN, 'ima', 'audit', file, '--follow', '--json'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    t.after(() => this.#child.kill('SIGKILL'));
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async serial(): Promise<unknown> {
    const { value } = await this.#lines.next();
    return JSON.parse(value ?? '{}').serial;
  }

  async stop(): Promise<number | null> {
    const ended = new Promise<number | null>((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    return await ended;
  }
}

const record = (serial: number): string =>
  `type=INTEGRITY_PCR msg=audit(1.000:${serial}): pid=1 uid=0 auid=0 ses=1 op=invalid_pcr cause=ToMToU comm="a" res=1 errno=0\n`;

test('a log is followed while it grows, is rotated and cut', { timeout: 60_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-audit-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const log = join(folder, 'audit.log');
  writeFileSync(log, record(1));
  const followed = new Followed(t, log);
  assert.equal(await followed.serial(), 1);
  // A line comes in two writes.
  appendFileSync(log, record(2).slice(0, 30));
  appendFileSync(log, record(2).slice(30));
  assert.equal(await followed.serial(), 2);
  appendFileSync(log, record(3));
  renameSync(log, `${log}.1`);
  assert.equal(await followed.serial(), 3);
  writeFileSync(log, record(4));
  assert.equal(await followed.serial(), 4);
  truncateSync(log);
  await new Promise((resolve) => setTimeout(resolve, 300));
  appendFileSync(log, record(5));
  assert.equal(await followed.serial(), 5);
  assert.equal(await followed.stop(), 1);
});
