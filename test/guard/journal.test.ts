/**
 * journald keeps its files on the file system that is watched, and is told what the guard says: each record that it writes
 * is an access that is asked about, of which the guard tells it again.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { guardProcess } from '../fixtures/guard-process.ts';
import { label, run } from '../fixtures/guarded.ts';
import { requires, requiresMounts } from '../system/requirements.ts';

const options = {
  skip: requiresMounts().skip || requires('unshare', 'systemd-journald', 'journalctl').skip,
  timeout: 120_000,
};

/** A journald of its own, in mounts of its own: its files in `$1`. What comes on standard input it is told line by line. */
const JOURNALD = `
  mount -t tmpfs none /run && mount -t tmpfs none /var/log || exit 1
  mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/log /var/log/journal
  mount --bind "$1" /var/log/journal || exit 1
  printf '[Journal]\\nStorage=persistent\\nAudit=no\\nReadKMsg=no\\nForwardToSyslog=no\\nRateLimitBurst=0\\n' \
    >/run/systemd/journald.conf.d/test.conf
  touch /run/systemd/journal/flushed
  echo 0123456789abcdef0123456789abcdef >/run/machine-id
  mount --bind /run/machine-id /etc/machine-id || exit 1
  /lib/systemd/systemd-journald & journald=$!
  until [ -S /run/systemd/journal/dev-log ]; do sleep 0.05; done
  echo ready
  logger --socket /run/systemd/journal/dev-log --tag assay-guard
  kill $journald; wait $journald; echo ended`;

const RUNS = 300;

test('journald’s files are on the file system that it watches, and it hears the guard', options, async (t) => {
  const guard = await guardProcess(t, {
    policy: ['appraise func=BPRM_CHECK', 'measure fowner=0', 'audit fowner=0'],
    args: ['--mode', 'enforce'],
    prepare: ({ tree }) => {
      for (const name of ['good', 'bare']) copyFileSync('/bin/true', join(tree, name));
      label(join(tree, 'good'));
      mkdirSync(join(tree, 'journal'));
    },
  });
  const journal = join(guard.tree, 'journal');
  const journald = spawn('unshare', ['-m', 'sh', '-c', JOURNALD, 'sh', journal], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => journald.kill('SIGKILL'));
  const lines = createInterface({ input: journald.stdout });
  assert.deepEqual(await once(lines, 'line'), ['ready']);
  guard.child.stdout.pipe(journald.stdin, { end: false });
  for (let round = 0; round < RUNS; round++) {
    assert.equal(run(join(guard.tree, 'good')), 0);
    assert.equal(run(join(guard.tree, 'bare')), 'EPERM');
  }
  const ended = once(lines, 'line');
  const log = readFileSync(join(guard.data, 'guard/audit.log'), 'latin1');
  assert.match(log, /INTEGRITY_RULE.*system\.journal/, 'the journal itself was asked about');
  assert.equal(guard.command('stop').status, 0);
  await once(guard.child, 'exit');
  journald.stdin.end();
  assert.deepEqual(await ended, ['ended']);
  const { stdout } = spawnSync('journalctl', ['--directory', journal, '--output=cat', '--identifier=assay-guard'], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  assert.ok((stdout.match(/missing-hash/g)?.length ?? 0) >= RUNS / 10, `${stdout.slice(0, 2000)}`);
});
