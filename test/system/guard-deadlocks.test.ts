/** What has hung listeners like this one: each by its name, tried against the guard. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ended, guardProcess } from '../fixtures/guard-process.ts';
import { guarded, label, run } from '../fixtures/guarded.ts';
import { requiresMounts } from './requirements.ts';

const options = { ...requiresMounts(), timeout: 100_000 };

/** Asks of everything, so that whatever touches the file system is asked about. */
const EVERYTHING = ['appraise fowner=0', 'measure fowner=0', 'audit fowner=0'];

function programs({ tree }: { readonly tree: string }): void {
  for (const name of ['good', 'bare']) copyFileSync('/bin/true', join(tree, name));
  label(join(tree, 'good'));
}

test('its own log, list and data are on the file system that it watches', options, async (t) => {
  const guard = await guardProcess(t, {
    policy: EVERYTHING,
    args: ['--mode', 'enforce'],
    prepare: programs,
    dataIn: ({ tree }) => tree,
  });
  for (let round = 0; round < 20; round++) {
    assert.equal(run(join(guard.tree, 'good')), 0);
    assert.equal(run(join(guard.tree, 'bare')), 'EPERM');
  }
  assert.equal(JSON.parse(guard.command('status', '--json').stdout).denials.length, 20);
  assert.equal(guard.command('reload').status, 0);
  // As from a shell that can execute nothing any more: what it reads is the guard's, and the policy has nothing to say.
  const kill = spawnSync('/bin/sh', ['-c', 'read pid <"$1" && kill $pid', 'sh', join(guard.data, 'guard/guard.pid')]);
  assert.equal(kill.status, 0, String(kill.stderr));
  await ended(guard.child);
  assert.equal(guard.child.exitCode, 0);
  const log = readFileSync(join(guard.data, 'guard/audit.log'), 'latin1');
  assert.equal(log.match(/cause=missing-hash/g)?.length, 20);
});

test('who reads what it says stands still, and waits for it: the journal', options, async (t) => {
  const guard = await guardProcess(t, { policy: EVERYTHING, args: ['--mode', 'enforce'], prepare: programs });
  const read = (name: string): number | null => {
    const { status } = spawnSync('/bin/cat', [join(guard.tree, name)], { stdio: 'ignore', timeout: 5000 });
    return status;
  };
  guard.child.stdout.pause();
  guard.child.stderr.pause();
  // Far more than a pipe holds.
  const flood = 'i=0; while [ $i -lt 1500 ]; do read x <"$1"; i=$((i+1)); done 2>/dev/null';
  spawnSync('/bin/sh', ['-c', flood, 'sh', join(guard.tree, 'bare')], { stdio: 'ignore', timeout: 30_000 });
  writeFileSync(join(guard.tree, 'new'), '');
  label(join(guard.tree, 'new'));
  // It is measured, for which the guard's own first thread is needed.
  const began = performance.now();
  assert.equal(read('new'), 0);
  assert.ok(performance.now() - began < 3000);
  const { denials } = JSON.parse(guard.command('status', '--json').stdout);
  assert.equal(denials.length, 50);
  assert.equal(guard.command('stop').status, 0);
  guard.child.stdout.resume();
  guard.child.stderr.resume();
});

test('a program that the thread starts and waits for which has to measure it', options, async (t) => {
  const measured: number[] = [];
  const { program } = await guarded(t, {
    policy: ['measure func=BPRM_CHECK', 'appraise func=BPRM_CHECK'],
    patienceMs: 1000,
    // In this thread, which waits for the program.
    sink: {
      add: async (measurements) => {
        await delay(1);
        measured.push(measurements.length);
      },
    },
  });
  const began = performance.now();
  assert.equal(run(program('program')), 0);
  assert.ok(performance.now() - began < 5000);
  await delay(50);
  assert.deepEqual(measured, [1]);
});

test('who waits for large files is killed: nobody reads them any more', options, async (t) => {
  const { tree, program, guard } = await guarded(t, { policy: ['audit func=BPRM_CHECK'] });
  assert.equal(run(program('before')), 0);
  // Each takes minutes, and both readers would be busy with them.
  for (const name of ['one', 'two', 'three']) {
    writeFileSync(join(tree, name), '', { mode: 0o755 });
    truncateSync(join(tree, name), 500 * 2 ** 30);
  }
  const children = ['one', 'two', 'three'].map((name) =>
    spawn('/bin/sh', ['-c', 'exec "$1"', 'sh', join(tree, name)], { stdio: 'ignore' }),
  );
  for (const until = Date.now() + 5000; guard.status.counts.local?.waiting !== 3 && Date.now() < until; )
    await delay(10);
  for (const child of children) child.kill('SIGKILL');
  for (const until = Date.now() + 5000; guard.status.counts.local?.waiting !== 0 && Date.now() < until; )
    await delay(10);
  assert.equal(guard.status.counts.local?.waiting, 0);
});

test('the loader of programs is on the file system that it watches', options, async (t) => {
  const libraries = execFileSync('ldd', ['/bin/true'], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g);
  const needed = ['/bin/true', ...[...libraries].map(([, path = '']) => path)];
  const loader = needed.at(-1) ?? '';
  const { tree } = await guarded(t, {
    policy: ['appraise func=BPRM_CHECK', 'appraise func=FILE_CHECK mask=MAY_READ'],
    prepare: (mount) => {
      for (const path of needed) {
        const place = join(mount.tree, path);
        mkdirSync(dirname(place), { recursive: true });
        copyFileSync(path, place);
        chmodSync(place, 0o755);
        if (path !== loader) label(place);
      }
    },
  });
  const inTree = (): number | null => spawnSync('chroot', [tree, '/bin/true'], { stdio: 'ignore' }).status;
  // Of chroot: it could not be executed.
  assert.equal(inTree(), 126);
  label(join(tree, loader));
  assert.equal(inTree(), 0);
});

test('news of written files are lost: what was known of any file is looked at again', options, async (t) => {
  // As many inodes as it takes.
  const { tree, guard, program } = await guarded(t, { policy: ['appraise func=BPRM_CHECK'], megabytes: 200 });
  const path = program('program');
  await delay(50);
  for (let round = 0; round < 3; round++) assert.equal(run(path), 0);
  const examined = guard.status.counts.local?.examined;
  const files = join(tree, 'files');
  mkdirSync(files);
  // More than the kernel keeps (16,384). The guard is this process, and stands still meanwhile.
  const write =
    'trap "kill -CONT $1" EXIT; kill -STOP "$1"; i=0; while [ $i -lt 17000 ]; do : >"$2/$i"; i=$((i+1)); done';
  await once(spawn('/bin/sh', ['-c', write, 'sh', String(process.pid), files], { stdio: 'ignore' }), 'exit');
  assert.equal(run(path), 0);
  assert.deepEqual(
    [guard.status.counts.local?.examined, guard.status.counts.local?.overflows],
    [(examined ?? 0) + 1, 1],
  );
});
