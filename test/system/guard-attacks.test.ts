/** Who may write to a file tries to have it executed with other content than the guard judged. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { closeFile, PermissionEvents, PollSet } from '../../src/sys/index.ts';
import { guarded, label, run } from '../fixtures/guarded.ts';
import { requiresMounts } from './requirements.ts';

const options = { ...requiresMounts(), timeout: 100_000 };
const EXECUTED = ['appraise func=BPRM_CHECK'];

const statusOf = async (child: ChildProcess): Promise<number | null> => {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
};

test('a file that somebody has open for writing is not executed', options, async (t) => {
  const { program, findings } = await guarded(t, { policy: EXECUTED });
  const path = program('program');
  const writer = spawn('/bin/sh', ['-c', 'exec 3<>"$1"; echo open; sleep 60', 'sh', path], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.after(() => void writer.kill('SIGKILL'));
  await once(writer.stdout, 'data');
  assert.equal(run(path), 'EPERM');
  writer.kill('SIGKILL');
  await statusOf(writer);
  await delay(50);
  assert.deepEqual(
    findings.map(({ fault }) => fault.cause),
    ['open_writers'],
  );
});

test('what is written while an execution waits for the writer to go is not executed', options, async (t) => {
  const { script } = await guarded(t, { policy: EXECUTED });
  for (let round = 0; round < 3; round++) {
    const path = script(`program-${round}`, '#!/bin/sh\nexit 0\n');
    await delay(50);
    for (let known = 0; known < 2; known++) assert.equal(run(path), 0);
    const writing = 'exec 3<>"$1"; echo open; sleep 0.05; printf "#!/bin/sh\nexit 9\n" >&3';
    const writer = spawn('/bin/sh', ['-c', writing, 'sh', path], { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(writer.stdout, 'data');
    assert.equal(run(path), 'EPERM', `round ${round}`);
    await statusOf(writer);
  }
});

test('nothing is written between the decision and the execution', options, async (t) => {
  const { tree, program } = await guarded(t, { policy: EXECUTED });
  const outcomes = new Set<string>();
  for (let round = 0; round < 6; round++) {
    const path = program(`program-${round}`);
    assert.equal(run(path), 0);
    // A second listener holds the execution up, before or behind the guard: the kernel asks them in an order of its own.
    const second = PermissionEvents.open();
    second.watchFileSystem(tree, ['exec']);
    const child = spawn('/bin/sh', ['-c', '"$1"', 'sh', path], { stdio: 'ignore' });
    const poll = new PollSet([[second.fd, 'readable']]);
    while (!poll.wait(0)) await delay(5);
    assert.equal(second.read(), 1);
    const fd = second.events.fd(0);
    const writer = spawn('/bin/sh', ['-c', 'cp /bin/false "$1" 2>/dev/null', 'sh', path], { stdio: 'ignore' });
    await delay(400);
    const isKeptOut = writer.exitCode === null;
    second.answer(fd, true);
    closeFile(fd);
    second.close();
    const status = await statusOf(child);
    await statusOf(writer);
    outcomes.add(
      `${status === 0 ? 'ran' : 'refused'}, ${isKeptOut ? 'and the writer waited' : 'after it was written'}`,
    );
    // 1 is what the written program would end with.
    assert.ok(status === 126 || (status === 0 && isKeptOut), `${status}, ${isKeptOut}`);
  }
  t.diagnostic([...outcomes].join('; '));
});

test('a file that is exchanged by renaming, again and again, runs only where its label holds', options, async (t) => {
  const { tree, program } = await guarded(t, { policy: EXECUTED });
  const good = program('good');
  const bad = join(tree, 'bad');
  copyFileSync('/bin/false', bad);
  label(bad, Buffer.from('other'));
  const target = join(tree, 'target');
  for (let round = 0; round < 50; round++) {
    copyFileSync(round % 2 === 0 ? good : bad, `${target}.new`);
    if (round % 2 === 0) label(`${target}.new`);
    else label(`${target}.new`, Buffer.from('other'));
    renameSync(`${target}.new`, target);
    assert.equal(run(target), round % 2 === 0 ? 0 : 'EPERM', `round ${round}`);
  }
});

test('a flood of executions, good and bad, is answered one for one', options, async (t) => {
  const { tree, program, guard } = await guarded(t, { policy: EXECUTED });
  const good = program('good');
  const bare = join(tree, 'bare');
  copyFileSync('/bin/true', bare);
  const script = 'for i in 1 2 3 4 5 6 7 8 9 10; do "$1" || exit 1; "$2" 2>/dev/null && exit 2; done; exit 0';
  const children = Array.from({ length: 30 }, () =>
    spawn('/bin/sh', ['-c', script, 'sh', good, bare], { stdio: 'ignore' }),
  );
  assert.deepEqual(new Set(await Promise.all(children.map(statusOf))), new Set([0]));
  assert.equal(guard.status.counts.local?.waiting, 0);
});

test('who makes files of terabytes, or lets them grow while they wait, holds up nobody else', options, async (t) => {
  const HUGE = 200 * 2 ** 30;
  const { tree, program } = await guarded(t, { policy: ['audit func=BPRM_CHECK'] });
  const execute = (name: string, size: number): string => {
    const path = join(tree, name);
    writeFileSync(path, '');
    truncateSync(path, size);
    chmodSync(path, 0o755);
    chownSync(path, 65534, 65534);
    spawn('/bin/sh', ['-c', '"$1"', 'sh', path], { stdio: 'ignore' });
    return path;
  };
  for (let i = 0; i < 4; i++) execute(`huge${i}`, HUGE);
  for (let i = 0; i < 40; i++) {
    const path = execute(`growing${i}`, 2 ** 20);
    try {
      truncateSync(path, HUGE);
    } catch (error) {
      assert.match(String(error), /ETXTBSY/); // decided already
    }
  }
  assert.equal(run(program('mine')), 0);
});
