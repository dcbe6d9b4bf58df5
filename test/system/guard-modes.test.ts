/** The guard's modes, and policies that are put in force while it runs. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { IMA_XATTR } from '../../src/ima/index.ts';
import { getXattr } from '../../src/sys/index.ts';
import { guardProcess } from '../fixtures/guard-process.ts';
import { guarded, label, NO_KEYS, rulesOf, run } from '../fixtures/guarded.ts';
import { requiresMounts } from './requirements.ts';

const options = { ...requiresMounts(), timeout: 200_000 };
const EXECUTED = ['appraise func=BPRM_CHECK'];

function bare(tree: string, name = 'bare'): string {
  const path = join(tree, name);
  copyFileSync('/bin/true', path);
  return path;
}

test('log lets pass and tells, fix labels, off says nothing', options, async (t) => {
  const { tree, guard, findings } = await guarded(t, { policy: EXECUTED, mode: 'log' });
  const path = bare(tree);
  assert.equal(run(path), 0);
  await delay(50);
  assert.deepEqual(
    findings.map(({ fault, isDenied }) => [fault.cause, isDenied]),
    [['missing-hash', false]],
  );
  await guard.reload({ rules: rulesOf(...EXECUTED), mode: 'off', keys: NO_KEYS });
  assert.equal(run(path), 0);
  assert.equal(getXattr(path, IMA_XATTR), undefined);
  await guard.reload({ rules: rulesOf(...EXECUTED), mode: 'fix', keys: NO_KEYS });
  assert.equal(run(path), 0);
  assert.notEqual(getXattr(path, IMA_XATTR), undefined);
  await guard.reload({ rules: rulesOf(...EXECUTED), mode: 'enforce', keys: NO_KEYS });
  assert.equal(run(path), 0);
});

test('a policy is exchanged without a moment without one', options, async (t) => {
  const { tree, guard } = await guarded(t, { policy: EXECUTED });
  const path = bare(tree);
  const child = spawn('/bin/sh', ['-c', 'while :; do "$1" 2>/dev/null && echo ran; done', 'sh', path], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let said = '';
  child.stdout.on('data', (part: Buffer) => (said += part.toString()));
  for (let round = 0; round < 10; round++) {
    const rules = round % 2 === 0 ? ['appraise fowner=0'] : EXECUTED;
    await guard.reload({ rules: rulesOf(...rules), mode: 'enforce', keys: NO_KEYS });
  }
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(said, '');
  await guard.reload({ rules: rulesOf('appraise func=BPRM_CHECK fowner=1'), mode: 'enforce', keys: NO_KEYS });
  assert.equal(run(path), 0);
});

test('what was found for one policy is not taken for what the next one asks', options, async (t) => {
  const { tree, guard } = await guarded(t, { policy: ['audit func=BPRM_CHECK'], megabytes: 400 });
  assert.equal(run(bare(tree)), 0);
  const path = join(tree, 'large');
  // It takes a while to be read, and the policy changes meanwhile.
  writeFileSync(path, Buffer.concat([readFileSync('/bin/true'), Buffer.alloc(250 * 2 ** 20)]), { mode: 0o755 });
  await delay(50);
  const first = spawn('/bin/sh', ['-c', '"$1"', 'sh', path], { stdio: 'ignore' });
  for (const until = Date.now() + 5000; guard.status.counts.local?.waiting === 0 && Date.now() < until; )
    await delay(1);
  await guard.reload({ rules: rulesOf(...EXECUTED), mode: 'enforce', keys: NO_KEYS });
  assert.equal(guard.status.counts.local?.waiting, 1);
  assert.deepEqual(await once(first, 'exit'), [0, null]);
  assert.equal(run(path), 'EPERM');
});

test('a file system that appears beneath a watched one is watched', options, async (t) => {
  const mount = await guarded(t, { policy: EXECUTED });
  const place = join(mount.tree, 'below');
  mkdirSync(place);
  mount.mountAnother(place);
  for (const until = Date.now() + 5000; mount.guard.status.watched.length < 2 && Date.now() < until; ) await delay(10);
  assert.deepEqual(
    mount.guard.status.watched.map(({ path }) => path),
    [mount.tree, place],
  );
  assert.equal(run(bare(place)), 'EPERM');
});

test('a file system that is read-only is not asked about twice, until it is written to again', options, async (t) => {
  const { tree, guard, mount, program } = await guarded(t, { policy: EXECUTED });
  const path = program('program');
  mount('-o', 'remount,ro', tree);
  await delay(300);
  for (let round = 0; round < 4; round++) assert.equal(run(path), 0);
  const { executions = 0, ignored = 0 } = guard.status.counts.local ?? {};
  assert.equal(ignored, 1);
  for (let round = 0; round < 4; round++) assert.equal(run(path), 0);
  assert.equal(guard.status.counts.local?.executions, executions);
  mount('-o', 'remount,rw', tree);
  await delay(300);
  label(path, Buffer.from('other'));
  assert.equal(run(path), 'EPERM');
});

test(
  'a policy with an error is refused with its place, and the old one stays; status and stop answer',
  options,
  async (t) => {
    const guard = await guardProcess(t, {
      policy: EXECUTED,
      args: ['--mode', 'enforce'],
      prepare: ({ tree }) => void bare(tree),
    });
    const path = join(guard.tree, 'bare');
    assert.equal(run(path), 'EPERM');
    writeFileSync(guard.policy, 'measure func=BPRM_CHECK\nappraise func=NONSENSE\n');
    const { status, stderr } = guard.command('reload');
    assert.equal(status, 2);
    assert.match(stderr, /policy:2:10: |line 2, column 10/);
    assert.equal(run(path), 'EPERM');
    const shown = JSON.parse(guard.command('status', '--json').stdout);
    assert.equal(shown.mode, 'enforce');
    assert.deepEqual(
      shown.denials.map(({ cause }: { cause: string }) => cause),
      ['missing-hash', 'missing-hash'],
    );
    assert.equal(guard.command('stop').status, 0);
    assert.equal(run(path), 0);
    assert.equal(guard.command('status').status, 3);
  },
);
