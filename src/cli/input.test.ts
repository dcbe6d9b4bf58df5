/** What is wrong in a command's arguments is said before anything is opened; what is wrong in a file, with its name. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const MAIN = join(import.meta.dirname, 'main.ts');
const root = mkdtempSync(join(tmpdir(), 'assay-input-'));
after(() => rmSync(root, { recursive: true, force: true }));
const junk = join(root, 'junk');
writeFileSync(junk, Buffer.alloc(100, 0xb7));
const data = join(root, 'data');

function assay(...args: readonly string[]) {
  const { ASSAY_JOIN_TOKEN: _, ...env } = process.env;
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', timeout: 20_000, env });
}

for (const [said, ...args] of [
  [/--nonce.* is invalid/, 'evidence', 'collect', '-o', join(root, 'e'), '--data', data, '--nonce', 'zz'],
  [/--nonce.* is invalid/, 'evidence', 'collect', '-o', join(root, 'e'), '--data', data, '--nonce', ''],
  [/--nonce.* is invalid/, 'verify', '/nonexistent', '--nonce', 'zz'],
  [/\/nonexistent\.pub: no such file/, 'verify', junk, '--nonce', '00', '--ak', '/nonexistent.pub'],
  [
    /--fingerprint.* is invalid/,
    'agent',
    'run',
    '--server',
    'https://h:1',
    '--data',
    data,
    '--fingerprint',
    'sha256:12',
  ],
  [/no address of a server/, 'agent', 'run', '--server', 'http://h:1', '--data', data],
] as const) {
  test(`checked before anything is opened: assay ${args.slice(0, 2).join(' ')}, ${said.source}`, () => {
    const { status, stderr } = assay(...args);
    assert.match(stderr, said);
    assert.match(stderr, /^assay: [^\n]+\n$/);
    assert.equal(status, 2);
    assert.ok(!existsSync(data));
  });
}

for (const args of [
  ['verify', junk, '--nonce', '00'],
  ['verify', '/dev/null', '--nonce', '00', '--ak', junk],
  ['verify', '/dev/null', '--nonce', '00', '--enrolment', junk],
  ['reference', 'check', junk],
  ['boot', 'replay', junk],
  ['ima', 'replay', junk],
  ['ima', 'show', junk],
  ['ima', 'check', '/dev/null', '--pcrs', junk],
  ['server', 'run', '--data', data, '--reference', junk],
  [
    'tpm',
    'check-quote',
    '--public',
    junk,
    '--message',
    junk,
    '--signature',
    junk,
    '--pcrs',
    junk,
    '--qualification',
    '',
  ],
] as const) {
  test(`a file that is no such thing is named: assay ${args.slice(0, 2).join(' ')}`, () => {
    const { status, stderr } = assay(...args);
    assert.equal(status, 2);
    assert.ok(stderr.startsWith(`assay: ${junk}: `), stderr);
    assert.match(stderr, /^[^\n]+\n$/);
  });
}

test('an empty measurement list is not right and not wrong: exit 3', () => {
  const { status, stdout } = assay('ima', 'replay', '/dev/null');
  assert.deepEqual([status, stdout.startsWith('the list is empty')], [3, true]);
  assert.equal(assay('ima', 'replay', '/dev/null', '--json').status, 3);
});

test('evidence and --json do not share standard output', () => {
  const { status, stderr } = assay('evidence', 'collect', '-o', '-', '--json', '--data', data);
  assert.equal(status, 2);
  assert.match(stderr, /not both; name a file with -o\n$/);
  assert.ok(!existsSync(data));
});
