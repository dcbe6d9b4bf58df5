/** The kernel's permission events, leases and news of closed files, as the guard builds on them: on an image of our own. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, copyFileSync, openSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  CloseEvents,
  closeFile,
  giveUpLease,
  holdsReadLease,
  ignoreLeaseSignal,
  PermissionEvents,
  type PermissionKind,
  PollSet,
  takeReadLease,
} from '../../src/sys/index.ts';
import { type Ext4Mount, ext4Mount } from '../fixtures/ext4-mount.ts';
import { requiresMounts } from './requirements.ts';

const options = { ...requiresMounts(), timeout: 60_000 };

function watched(t: TestContext, mount: Ext4Mount, kinds: readonly PermissionKind[]): PermissionEvents {
  const events = PermissionEvents.open();
  t.after(() => events.close());
  events.watchFileSystem(mount.tree, kinds);
  return events;
}

/** Answers what comes until the child ends. @returns the files asked for */
async function answering(events: PermissionEvents, child: ChildProcess, isAllowed: boolean): Promise<string[]> {
  const seen: string[] = [];
  let hasEnded = false;
  const ended = once(child, 'exit').finally(() => {
    hasEnded = true;
  });
  const set = new PollSet([[events.fd, 'readable']]);
  while (!hasEnded) {
    if (set.wait(10)) {
      const count = events.read();
      for (let index = 0; index < count; index++) {
        const fd = events.events.fd(index);
        if (fd < 0) continue; // denied by the kernel, which could not open it for us
        seen.push(`${events.isExec(index) ? 'exec' : 'open'} ${readlinkSync(`/proc/self/fd/${fd}`)}`);
        assert.equal(events.answer(fd, isAllowed), true);
        closeFile(fd);
      }
    }
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  await ended;
  return seen;
}

/** Started beside us, never by a call that waits: that would wait for our own answer. */
function shell(script: string, ...args: readonly string[]): ChildProcess {
  return spawn('/bin/sh', ['-c', script, 'sh', ...args], { stdio: 'ignore' });
}

test('an execution waits for its answer and runs, or is refused', options, async (t) => {
  const mount = ext4Mount(t);
  const program = join(mount.tree, 'program');
  copyFileSync('/bin/true', program);
  const events = watched(t, mount, ['exec']);
  const allowed = shell('exec "$1"', program);
  assert.deepEqual(await answering(events, allowed, true), [`exec ${program}`]);
  assert.equal(allowed.exitCode, 0);
  const denied = shell('exec "$1"', program);
  assert.deepEqual(await answering(events, denied, false), [`exec ${program}`]);
  assert.equal(denied.exitCode, 126);
});

test(
  'a script and its interpreter are asked for one after the other, and each open once more as an open',
  options,
  async (t) => {
    const mount = ext4Mount(t);
    const interpreter = join(mount.tree, 'interpreter');
    const script = join(mount.tree, 'script');
    copyFileSync('/bin/true', interpreter);
    writeFileSync(script, `#!${interpreter}\n`);
    chmodSync(script, 0o755);
    const events = watched(t, mount, ['exec', 'open']);
    assert.deepEqual(await answering(events, shell('exec "$1"', script), true), [
      `exec ${script}`,
      `open ${script}`,
      `exec ${interpreter}`,
      `open ${interpreter}`,
    ]);
  },
);

test('what is to be ignored is not asked for, until it is written to', options, async (t) => {
  const mount = ext4Mount(t);
  const program = join(mount.tree, 'program');
  copyFileSync('/bin/true', program);
  const events = watched(t, mount, ['exec']);
  const file = openSync(program, 'r');
  t.after(() => closeSync(file));
  events.ignore(file, ['exec']);
  assert.deepEqual(await answering(events, shell('exec "$1"', program), true), []);
  writeFileSync(program, '#!/bin/sh\n');
  assert.deepEqual(await answering(events, shell('exec "$1"', program), true), [`exec ${program}`]);
  events.ignore(file, ['exec']);
  events.ignoreNothing();
  assert.deepEqual(await answering(events, shell('exec "$1"', program), true), [`exec ${program}`]);
});

test('a lease says whether anybody can write, and a writer waits for its end', options, async (t) => {
  const mount = ext4Mount(t);
  ignoreLeaseSignal();
  const path = join(mount.tree, 'file');
  writeFileSync(path, 'content');
  const reader = openSync(path, 'r');
  t.after(() => closeSync(reader));
  const writer = openSync(path, 'r+');
  assert.equal(takeReadLease(reader), 'writers');
  closeSync(writer);
  assert.equal(takeReadLease(reader), 'held');
  assert.equal(holdsReadLease(reader), true);
  const child = shell('echo other >"$1"', path);
  const ended = once(child, 'exit');
  for (const until = Date.now() + 5000; holdsReadLease(reader) && Date.now() < until; ) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(holdsReadLease(reader), false);
  assert.equal(child.exitCode, null);
  giveUpLease(reader);
  await ended;
  assert.equal(child.exitCode, 0);
});

test('a shared mapping is a writer until it ends, and its end is told', options, async (t) => {
  const mount = ext4Mount(t);
  const path = join(mount.tree, 'file');
  writeFileSync(path, Buffer.alloc(4096, 'x'));
  const closed = CloseEvents.open();
  t.after(() => closed.close());
  closed.watchFileSystem(mount.tree);
  const script =
    'import mmap,os,sys\nf=os.open(sys.argv[1],os.O_RDWR)\nm=mmap.mmap(f,4096)\nos.close(f)\n' +
    'print("mapped",flush=True)\nsys.stdin.readline()\nm[0]=65\n';
  const mapper = spawn('python3', ['-c', script, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => mapper.kill('SIGKILL'));
  await once(mapper.stdout, 'data');
  const reader = openSync(path, 'r');
  t.after(() => closeSync(reader));
  assert.equal(takeReadLease(reader), 'writers');
  assert.equal(closed.read(), 0);
  mapper.stdin.write('\n');
  await once(mapper, 'exit');
  assert.equal(takeReadLease(reader), 'held');
  assert.equal(closed.read(), 1);
  const fd = closed.events.fd(0);
  assert.equal(readlinkSync(`/proc/self/fd/${fd}`), path);
  closeFile(fd);
});

test('who holds a lease on a file of theirs does not hold up the listener', options, async (t) => {
  const mount = ext4Mount(t);
  const program = join(mount.tree, 'program');
  copyFileSync('/bin/true', program);
  const events = watched(t, mount, ['exec']);
  const script =
    'import fcntl,os,signal,sys,time\nsignal.signal(signal.SIGIO,signal.SIG_IGN)\nf=os.open(sys.argv[1],os.O_RDWR)\n' +
    'fcntl.fcntl(f,fcntl.F_SETLEASE,fcntl.F_WRLCK)\nprint("held",flush=True)\ntime.sleep(60)\n';
  const holder = spawn('python3', ['-c', script, program], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  const began = performance.now();
  const child = shell('exec "$1"', program);
  assert.deepEqual(await answering(events, child, true), []);
  const took = performance.now() - began;
  assert.ok(took < 10_000, `${took} ms`);
  assert.notEqual(child.exitCode, 0);
});

test('with the last descriptor closed, what waits goes on', options, async (t) => {
  const mount = ext4Mount(t);
  const program = join(mount.tree, 'program');
  copyFileSync('/bin/true', program);
  const events = PermissionEvents.open();
  events.watchFileSystem(mount.tree, ['exec']);
  const child = shell('exec "$1"', program);
  const ended = once(child, 'exit');
  assert.equal(new PollSet([[events.fd, 'readable']]).wait(5000), true);
  events.close();
  await ended;
  assert.equal(child.exitCode, 0);
});
