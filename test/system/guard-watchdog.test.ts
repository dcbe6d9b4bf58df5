/** A guard that is killed, stopped or traced: what was chosen comes of those who wait, and the machine goes on. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Ext4Mount } from '../fixtures/ext4-mount.ts';
import { ended, guardProcess, killIfThere } from '../fixtures/guard-process.ts';
import { label, run } from '../fixtures/guarded.ts';
import { requires, requiresMounts } from './requirements.ts';

const options = { ...requiresMounts(), timeout: 240_000 };
const POLICY = ['appraise func=BPRM_CHECK'];
const ENFORCE = ['--mode', 'enforce', '--hang', '2'];

function programs({ tree }: Ext4Mount): void {
  for (const name of ['good', 'bare']) copyFileSync('/bin/true', join(tree, name));
  label(join(tree, 'good'));
}

async function outcome(path: string): Promise<string | number> {
  try {
    const child = spawn(path, { stdio: 'ignore', timeout: 60_000 });
    const [code] = await once(child, 'exit');
    return Number(code);
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

/** Not where it has ended and only waits to be asked how. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

/** Stops every thread of it, and waits until they stand still: one may be about to answer. */
async function stopped({ pid = 0 }: { readonly pid?: number | undefined }): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  const standsStill = (thread: string): boolean =>
    /^State:\tT/m.test(readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1'));
  for (const until = Date.now() + 5000; !readdirSync(`/proc/${pid}/task`).every(standsStill) && Date.now() < until; ) {
    await delay(5);
  }
}

for (const fail of ['open', 'closed'] as const) {
  const isRefused = fail === 'closed';
  test(
    `a guard that is killed ${isRefused ? 'leaves everything refused' : 'lets everything pass'}`,
    options,
    async (t) => {
      const guard = await guardProcess(t, { policy: POLICY, args: [...ENFORCE, '--fail', fail], prepare: programs });
      assert.equal(run(join(guard.tree, 'good')), 0);
      assert.equal(run(join(guard.tree, 'bare')), 'EPERM');
      guard.child.kill('SIGKILL');
      await ended(guard.child);
      await delay(500);
      assert.equal(run(join(guard.tree, 'bare')), isRefused ? 'EPERM' : 0);
      assert.equal(run(join(guard.tree, 'good')), isRefused ? 'EPERM' : 0);
      assert.equal(guard.command('stop').status, isRefused ? 0 : 3);
      await delay(300);
      assert.equal(run(join(guard.tree, 'good')), 0);
    },
  );

  test(
    `a guard that is stopped is ended, and ${isRefused ? 'everything is refused' : 'everything passes'}`,
    options,
    async (t) => {
      const guard = await guardProcess(t, { policy: POLICY, args: [...ENFORCE, '--fail', fail], prepare: programs });
      assert.equal(run(join(guard.tree, 'good')), 0);
      await stopped(guard.child);
      const began = performance.now();
      const waiting = await Promise.all([outcome(join(guard.tree, 'bare')), outcome(join(guard.tree, 'good'))]);
      const took = performance.now() - began;
      assert.deepEqual(waiting, isRefused ? ['EPERM', 'EPERM'] : [0, 0]);
      assert.ok(took < 20_000, `${took} ms`);
      await ended(guard.child);
      assert.equal(guard.child.signalCode, 'SIGKILL');
    },
  );
}

test('the next guard takes over from a watchdog that refuses', options, async (t) => {
  const first = await guardProcess(t, { policy: POLICY, args: [...ENFORCE, '--fail', 'closed'], prepare: programs });
  const dog = first.watchdog() ?? 0;
  first.child.kill('SIGKILL');
  await ended(first.child);
  await delay(500);
  assert.equal(run(join(first.tree, 'good')), 'EPERM');
  const second = await guardProcess(t, { policy: POLICY, args: [...ENFORCE, '--fail', 'closed'], mount: first });
  await delay(300);
  assert.equal(isAlive(dog), false);
  assert.equal(run(join(second.tree, 'good')), 0);
  assert.equal(run(join(second.tree, 'bare')), 'EPERM');
  assert.equal(second.command('stop').status, 0);
  await ended(second.child);
  assert.equal(second.child.exitCode, 0);
  assert.equal(run(join(second.tree, 'bare')), 0);
});

test('a watchdog that is killed is replaced, and the guard goes on', options, async (t) => {
  const guard = await guardProcess(t, { policy: POLICY, args: ENFORCE, prepare: programs });
  const first = guard.watchdog() ?? 0;
  killIfThere(first);
  for (const until = Date.now() + 20_000; guard.watchdog() === first && Date.now() < until; ) await delay(50);
  assert.notEqual(guard.watchdog(), first);
  assert.equal(run(join(guard.tree, 'bare')), 'EPERM');
  await stopped(guard.child);
  assert.equal(await outcome(join(guard.tree, 'bare')), 0);
});

test('a tracer that writes what it traces onto the watched file system is not waited for', {
  ...options,
  ...requires('strace'),
}, async (t) => {
  const guard = await guardProcess(t, {
    policy: ['appraise fowner=0'],
    args: [...ENFORCE, '--fail', 'open'],
    prepare: programs,
  });
  const tracer = spawn('strace', ['-f', '-p', String(guard.child.pid), '-o', join(guard.tree, 'trace')], {
    stdio: 'ignore',
  });
  t.after(() => void tracer.kill('SIGKILL'));
  await delay(3000);
  assert.equal(await outcome(join(guard.tree, 'good')), 0);
  tracer.kill('SIGINT');
  await ended(tracer);
  assert.equal(spawnSync('/bin/cat', [join(guard.tree, 'good')], { timeout: 20_000 }).status, 0);
});
