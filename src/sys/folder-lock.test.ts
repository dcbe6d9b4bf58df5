import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { lockFolder } from './folder-lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'assay-lock-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('of many who change a folder one does at a time, and nothing is left in it', async () => {
  let inside = 0;
  let done = 0;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      const release = await lockFolder(folder, 60_000);
      inside += 1;
      assert.equal(inside, 1);
      await wait(5);
      inside -= 1;
      done += 1;
      release?.();
    }),
  );
  assert.deepEqual([done, readdirSync(folder)], [8, []]);
});

test('who waits gives up in time, and gets it when its holder was killed', async () => {
  const holder = spawn('flock', ['--close', folder, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  await once(holder.stdout, 'data');
  assert.equal(await lockFolder(folder, 60), undefined);
  const waiting = lockFolder(folder, 60_000);
  holder.kill('SIGKILL');
  const release = await waiting;
  assert.ok(release);
  release();
  holder.stdin.end();
});

test('a folder that is not there is the error of its opening', async () => {
  await assert.rejects(lockFolder(join(folder, 'missing'), 0), { code: 'ENOENT' });
});
