/**
 * Between the decision and its beginning an execution can be held up by whoever starves its thread of the processor
 * (SCHED_IDLE, which needs no privilege, beside busy threads), while a writer waits for the file.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, copyFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ext4Mount } from '../fixtures/ext4-mount.ts';
import { guardProcess } from '../fixtures/guard-process.ts';
import { label } from '../fixtures/guarded.ts';
import { requiresMounts } from '../system/requirements.ts';

const processors = availableParallelism() < 2 ? 'two processors are needed' : false;
const options = { skip: requiresMounts().skip || processors, timeout: 120_000 };

/** So long that the decision takes a while, in which the thread is made idle. */
const MEGABYTES = 500;
const BUSY = 20;
const ON_SECOND = ['-c', '1'];

test('what waits to write does not come to be run by an execution that was allowed before', options, async (t) => {
  const mount = ext4Mount(t, { megabytes: MEGABYTES + 100 });
  const program = join(mount.tree, 'program');
  copyFileSync('/bin/true', program);
  for (let part = 0; part < MEGABYTES; part += 50) appendFileSync(program, Buffer.alloc(50 << 20));
  label(program);
  const guard = await guardProcess(t, { mount, policy: ['appraise func=BPRM_CHECK'], args: ['--mode', 'enforce'] });

  const executing = spawn('taskset', [...ON_SECOND, program], { stdio: 'ignore' });
  const ended = once(executing, 'exit');
  await delay(20);
  assert.equal(spawnSync('chrt', ['--idle', '--pid', '0', String(executing.pid)]).status, 0);
  const busy = Array.from({ length: BUSY }, () => spawn('taskset', [...ON_SECOND, 'sh', '-c', 'while :; do :; done']));
  t.after(() => busy.map((one) => one.kill('SIGKILL')));
  await delay(500);
  const writing = spawn('dd', ['if=/bin/false', `of=${program}`, 'conv=notrunc'], { stdio: 'ignore' });
  await once(writing, 'exit');
  for (const one of busy) one.kill('SIGKILL');

  const [code, signal] = await ended;
  assert.deepEqual([code, signal], [null, 'SIGKILL'], 'neither what was written nor, here, what was there before');
  assert.match(guard.command('status').stdout, /^ended +1$/m);
});
