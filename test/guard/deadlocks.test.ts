/** What has hung listeners like this one, where it takes longer: its own programs on what it watches, and no memory. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ext4Mount } from '../fixtures/ext4-mount.ts';
import { ended, guardProcess, killIfThere } from '../fixtures/guard-process.ts';
import { label, run } from '../fixtures/guarded.ts';
import { GUEST_PROJECT, layOut, nodeTree, projectTree } from '../guest/tree.ts';
import { requiresMounts } from '../system/requirements.ts';

const options = { ...requiresMounts(), timeout: 300_000 };

function programs({ tree }: { readonly tree: string }): void {
  for (const name of ['good', 'bare']) copyFileSync('/bin/true', join(tree, name));
  label(join(tree, 'good'));
}

test('its own programs are on the file system that it watches, and bear no labels', options, async (t) => {
  const mount = ext4Mount(t, { megabytes: 700 });
  layOut({ ...nodeTree(), ...projectTree() }, mount.tree);
  programs(mount);
  const guard = await guardProcess(t, {
    mount,
    policy: ['appraise fowner=0', 'measure fowner=0', 'audit fowner=0'],
    args: ['--mode', 'enforce', '--fail', 'closed', '--hang', '3'],
    dataIn: ({ tree }) => tree,
    program: ({ tree }) => ({
      node: join(tree, 'usr/bin/node'),
      main: join(tree, GUEST_PROJECT, 'src/cli/main.ts'),
    }),
  });
  const isHeld = (): void => {
    assert.equal(run(join(guard.tree, 'good')), 0);
    assert.equal(run(join(guard.tree, 'bare')), 'EPERM');
  };
  isHeld();
  const { status, stderr } = guard.command('status');
  assert.deepEqual([status, stderr], [0, '']);
  assert.equal(guard.command('reload').status, 0);
  isHeld();
  // The next watchdog is executed, read and loaded under the guard's own eyes.
  const first = guard.watchdog() ?? 0;
  killIfThere(first);
  for (const until = Date.now() + 30_000; guard.watchdog() === first && Date.now() < until; ) await delay(50);
  assert.notEqual(guard.watchdog(), first);
  isHeld();
  // And under those of a watchdog that refuses everything else, a guard is started again.
  guard.child.kill('SIGKILL');
  await ended(guard.child);
  await delay(500);
  assert.equal(run(join(guard.tree, 'good')), 'EPERM');
  assert.equal(guard.command('stop').status, 0);
  assert.equal(run(join(guard.tree, 'bare')), 0);
});

/** A group of processes that gets so much memory and no more; undefined where this machine lets nobody make one. */
function memoryGroup(bytes: number): string | undefined {
  for (const [root, limit] of [
    ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
    ['/sys/fs/cgroup', 'memory.max'],
  ] as const) {
    const group = join(root, `assay-test-${process.pid}`);
    if (!existsSync(join(root, 'cgroup.procs'))) continue;
    try {
      mkdirSync(group);
      writeFileSync(join(group, limit), String(bytes));
      return group;
    } catch {
      if (existsSync(group)) rmdirSync(group);
    }
  }
  return undefined;
}

test('memory is short: others are ended for it, and everybody gets an answer', options, async (t) => {
  const group = memoryGroup(400 * 2 ** 20);
  if (group === undefined) {
    t.skip('needs a control group of memory');
    return;
  }
  const guard = await guardProcess(t, {
    policy: ['appraise func=BPRM_CHECK'],
    args: ['--mode', 'enforce', '--fail', 'closed'],
    prepare: programs,
  });
  t.after(async () => {
    // Those in it have been ended, and are gone in a moment.
    for (let tries = 0; readFileSync(join(group, 'cgroup.procs'), 'latin1') !== '' && tries < 200; tries++)
      await delay(20);
    rmdirSync(group);
  });
  for (const pid of [guard.child.pid ?? 0, guard.watchdog() ?? 0]) {
    writeFileSync(join(group, 'cgroup.procs'), String(pid));
  }
  // The unit says so the other way round, which takes more rights.
  const hog =
    'echo 1000 >/proc/$$/oom_score_adj; echo $$ >"$1/cgroup.procs"; x=$(head -c 600000000 /dev/zero | tr "\\0" a); echo "$x" | wc -c';
  const hogs = Array.from({ length: 6 }, () => spawn('/bin/sh', ['-c', hog, 'sh', group], { stdio: 'ignore' }));
  let longest = 0;
  let refused = 0;
  for (let round = 0; round < 60; round++) {
    const began = performance.now();
    // A new file each time, so that it has to be read.
    const path = join(guard.tree, `program-${round}`);
    copyFileSync('/bin/true', path);
    const isGood = round % 2 === 0;
    if (isGood) label(path);
    const outcome = run(path);
    if (isGood && outcome === 'EPERM') refused += 1;
    else assert.equal(outcome, isGood ? 0 : 'EPERM', `round ${round}`);
    longest = Math.max(longest, performance.now() - began);
  }
  await Promise.all(hogs.map(ended));
  assert.ok(
    hogs.some(({ exitCode }) => exitCode !== 0),
    'memory was never short',
  );
  // Where it has no memory left to open a file for the guard, the kernel itself refuses.
  const { stdout, stderr } = guard.command('status', '--json');
  assert.equal(stderr, '');
  const { unopenable } = JSON.parse(stdout).counts.local;
  assert.equal(refused, unopenable);
  t.diagnostic(`the longest took ${longest.toFixed(0)} ms; ${refused} were refused by the kernel`);
  for (let round = 0; round < 60; round += 2) assert.equal(run(join(guard.tree, `program-${round}`)), 0);
  assert.equal(guard.command('stop').status, 0);
  await ended(guard.child);
  assert.equal(spawnSync(join(guard.tree, 'bare')).status, 0);
});
