import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { agileLog, specIdPayload } from '../../test/fixtures/boot-logs.ts';
import { encodeSamples, encodeViolation, extendAll } from '../../test/fixtures/ima-lists.ts';
import { digest } from '../bytes/index.ts';
import { encodeImaNgEntry } from '../ima/index.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const folder = mkdtempSync(join(tmpdir(), 'assay-cli-ima-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function assay(args: readonly string[], input?: Uint8Array): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', input });
  return { status, stdout, stderr };
}

const entries = [...encodeSamples(), encodeViolation('/var/log/wtmp')];
const list = Buffer.concat(entries.map(({ bytes }) => bytes));
const pcr10 = extendAll('sha256', [
  ...encodeSamples().map(({ templateData }) => digest('sha256', templateData)),
  Buffer.alloc(32, 0xff),
]);

test('ima replay prints what the list adds up to, from a file and from standard input', () => {
  const path = file('list', list);
  const { status, stdout } = assay(['ima', 'replay', path, '--json']);
  assert.equal(status, 0);
  const result = JSON.parse(stdout);
  assert.deepEqual(Object.keys(result), ['entries', 'violations', 'templates', 'badTemplateDigests', 'pcrs']);
  assert.deepEqual([result.entries, result.violations, result.badTemplateDigests], [entries.length, 1, []]);
  assert.deepEqual(Object.keys(result.pcrs), ['sha1', 'sha256']);
  assert.equal(result.pcrs.sha256['10'], pcr10);
  assert.deepEqual(JSON.parse(assay(['ima', 'replay', '-', '--json'], list).stdout), result);
  const chosen = JSON.parse(assay(['ima', 'replay', path, '--json', '--hash', 'sha384']).stdout);
  assert.deepEqual(Object.keys(chosen.pcrs), ['sha384']);
});

test('ima replay exits 1 for a bad template digest and 2 for a malformed list, which it names', () => {
  const changed = Buffer.from(list);
  changed[30] = 0x6d; // In the first entry's template name: ima-ng becomes a name without known fields.
  changed[100] = (changed[100] ?? 0) ^ 1;
  const bad = assay(['ima', 'replay', file('bad', changed), '--json']);
  assert.equal(bad.status, 1);
  assert.deepEqual(JSON.parse(bad.stdout).badTemplateDigests, [0]);
  const broken = assay(['ima', 'replay', file('broken', list.subarray(0, -1)), '--json']);
  assert.equal(broken.status, 2);
  assert.equal(JSON.parse(broken.stdout).error.code, 'parse.truncated');
  assert.match(broken.stderr, /^assay: .*at byte \d+.*\n$/);
  assert.equal(assay(['ima', 'replay', file('list', list), '--hash', 'tiger']).status, 2);
});

test('ima show escapes what a name could do to the terminal', () => {
  const forged = encodeImaNgEntry(10, 'sha256', Buffer.alloc(32, 1), '/tmp/\u001b[2J\n10_forged').bytes;
  const { stdout } = assay(['ima', 'show', file('forged', forged)]);
  assert.equal(stdout.split('\n').length, 2);
  assert.match(stdout, /\/tmp\/\\x1b\[2J\\n10_forged\n$/);
});

test('ima check exits 0 where the PCR holds, 1 where it does not, 3 where nothing can be told, 2 without PCRs', () => {
  const path = file('list', list);
  const pcrs = (hex: string) => file('pcrs', `  sha256:\n    10: 0x${hex}\n`);
  const good = assay(['ima', 'check', path, '--pcrs', pcrs(pcr10), '--json']);
  assert.equal(good.status, 0);
  assert.deepEqual([JSON.parse(good.stdout).ok, JSON.parse(good.stdout).pcrs[0].reachedAt], [true, entries.length]);
  assert.equal(assay(['ima', 'check', path, '--pcrs', pcrs('11'.repeat(32))]).status, 1);
  assert.equal(assay(['ima', 'check', path, '--pcrs', file('pcrs', `0: ${'00'.repeat(20)}`)]).status, 3);
  assert.equal(assay(['ima', 'check', path]).status, 2);
});

test('boot replay prints what the log adds up to', () => {
  const value = Buffer.alloc(32, 7);
  const event = { pcr: 4, type: 4, digests: [[0x000b, value] as const], data: Buffer.alloc(4) };
  const path = file('log', agileLog(specIdPayload([[0x000b, 32]]), [event]));
  const { status, stdout } = assay(['boot', 'replay', path, '--json']);
  assert.equal(status, 0);
  assert.deepEqual(JSON.parse(stdout), {
    format: 'agile',
    events: 2,
    pcrs: { sha256: { 4: extendAll('sha256', [value]) } },
    warnings: [],
  });
  const missing = assay(['boot', 'replay', join(folder, 'absent'), '--json']);
  assert.deepEqual([missing.status, JSON.parse(missing.stdout).error.code], [2, 'system.enoent']);
});
