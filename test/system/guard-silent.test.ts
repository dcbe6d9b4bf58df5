/** A file system that takes each read and never answers: what is on it is refused in time, and everything else goes on. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { guardProcess } from '../fixtures/guard-process.ts';
import { label } from '../fixtures/guarded.ts';
import { requiresMounts } from './requirements.ts';

const base = requiresMounts();
const options = { skip: base.skip || (existsSync('/dev/fuse') ? false : 'needs /dev/fuse'), timeout: 200_000 };

const timed = async (path: string): Promise<{ code: number; ms: number }> => {
  const began = performance.now();
  const child = spawn('/bin/sh', ['-c', '"$1"', 'sh', path], { stdio: 'ignore' });
  const [code] = await once(child, 'exit');
  return { code: Number(code), ms: performance.now() - began };
};

test('a program that gives nothing is refused in time, and others run meanwhile', options, async (t) => {
  const guard = await guardProcess(t, {
    policy: ['appraise func=BPRM_CHECK'],
    args: ['--mode', 'enforce', '--patience', '2'],
    prepare: ({ tree }) => {
      copyFileSync('/bin/true', join(tree, 'good'));
      label(join(tree, 'good'));
      mkdirSync(join(tree, 'served'));
    },
  });
  const place = join(guard.tree, 'served');
  const server = spawn(process.execPath, [join(import.meta.dirname, 'silent-fuse.ts'), place], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.after(() => {
    server.kill('SIGKILL');
    spawnSync('umount', ['-l', place]);
  });
  await once(server.stdout, 'data');
  await delay(5000); // its threads have started
  const silent = timed(join(place, 'silent'));
  await delay(200);
  const good = await timed(join(guard.tree, 'good'));
  assert.equal(good.code, 0);
  assert.ok(good.ms < 2000, `${good.ms} ms`);
  const refused = await silent;
  assert.equal(refused.code, 126);
  assert.ok(refused.ms < 15_000, `${refused.ms} ms`);
  const again = await timed(join(place, 'silent'));
  assert.equal(again.code, 126);
  assert.equal(guard.command('stop').status, 0);
  const began = performance.now();
  if (guard.child.exitCode === null && guard.child.signalCode === null) await once(guard.child, 'exit');
  assert.ok(performance.now() - began < 15_000);
});
