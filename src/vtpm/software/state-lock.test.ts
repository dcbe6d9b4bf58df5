import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { requires } from '../../../test/system/requirements.ts';
import { VtpmError } from '../error.ts';
import { lockStateFile } from './state-lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'assay-lock-'));

/** For each line: lets go of what it has, locks the file of the line and says whether it won. */
const STARTER = `
  import { createInterface } from 'node:readline';
  import { lockStateFile } from '${pathToFileURL(join(import.meta.dirname, 'state-lock.ts'))}';
  let release;
  console.log('ready');
  for await (const line of createInterface({ input: process.stdin })) {
    await release?.();
    release = undefined;
    if (line === '') console.log('released');
    else try {
      release = await lockStateFile(line);
      console.log('won');
    } catch (error) {
      console.log(error.code);
    }
  }`;

interface Starter {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly lines: Interface;
}

const starters: Starter[] = [];

async function everyAnswer(): Promise<string[]> {
  return Promise.all(starters.map(async ({ lines }) => String((await once(lines, 'line'))[0])));
}

async function askAll(line: string): Promise<string[]> {
  const answers = everyAnswer();
  for (const { child } of starters) child.stdin.write(`${line}\n`);
  return answers;
}

before(async () => {
  for (let index = 0; index < 8; index++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', STARTER], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    starters.push({ child, lines: createInterface({ input: child.stdout }) });
  }
  await everyAnswer();
});

after(async () => {
  await Promise.all(
    starters.map(async ({ child }) => {
      child.stdin.end();
      await once(child, 'exit');
    }),
  );
  rmSync(folder, { recursive: true, force: true });
});

/** Nothing there, or what a killed process left: before it wrote its name, in the middle of it, and whole. */
const LEFT_BEHIND: Readonly<Record<string, string | undefined>> = {
  'no lock': undefined,
  'an empty lock': '',
  'a torn lock': '4194',
  'the lock of a process that ended': '4194304 1 0123456789abcdef0123456789abcdef\n',
};

for (const [name, left] of Object.entries(LEFT_BEHIND)) {
  test(`of eight processes that start at once, exactly one gets the file: ${name}`, async () => {
    for (let round = 0; round < 12; round++) {
      const file = join(folder, `${name} ${round}`);
      if (left !== undefined) writeFileSync(`${file}.lock`, left);
      const answers = await askAll(file);
      assert.deepEqual(answers.toSorted(), [...Array(7).fill('vtpm.state-in-use'), 'won']);
      assert.deepEqual(await askAll(''), Array(8).fill('released'));
    }
    assert.deepEqual(readdirSync(folder), []);
  });
}

test('who is refused learns which process has the file', async () => {
  const file = join(folder, 'held');
  const release = await lockStateFile(file);
  await assert.rejects(
    lockStateFile(file),
    (error: unknown) =>
      error instanceof VtpmError && error.code === 'vtpm.state-in-use' && error.message.includes(String(process.pid)),
  );
  await release();
});

test('who is in another pid namespace is kept out as well', requires('unshare'), async () => {
  const file = join(folder, 'contained');
  const release = await lockStateFile(file);
  const { stdout } = spawnSync(
    'unshare',
    ['-pf', '--mount-proc', process.execPath, '--input-type=module', '-e', STARTER],
    {
      input: `${file}\n`,
      encoding: 'utf8',
    },
  );
  assert.equal(stdout, 'ready\nvtpm.state-in-use\n');
  await release();
  assert.deepEqual(readdirSync(folder), []);
});

const HOLDER = `
  import { lockStateFile } from '${pathToFileURL(join(import.meta.dirname, 'state-lock.ts'))}';
  await lockStateFile(process.argv[1]);
  console.log(process.pid);
  setInterval(() => {}, 1_000_000);`;

test('a killed process holds nobody up, also before anybody has waited for it', async (t) => {
  const file = join(folder, 'killed');
  // The holder's parent becomes a program that waits for no child: killed, it stays there as a zombie.
  const parent = spawn(
    'sh',
    ['-c', '"$@" & exec sleep 60', 'sh', process.execPath, '--input-type=module', '-e', HOLDER, file],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  t.after(() => parent.kill());
  const [pid] = await once(createInterface({ input: parent.stdout }), 'line');
  await assert.rejects(lockStateFile(file), { code: 'vtpm.state-in-use' });
  process.kill(Number(pid), 'SIGKILL');
  const state = (): string => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.[0] ?? '';
  while (state() !== 'Z') await delay(5);
  // Its first thread is a zombie before the others have ended, and with the last of them what it had open is closed.
  const again = async (left: number): Promise<() => Promise<void>> =>
    lockStateFile(file).catch(async (error: unknown) => {
      if (left === 0) throw error;
      await delay(10);
      return again(left - 1);
    });
  await (await again(300))();
  assert.equal(state(), 'Z', 'nobody has waited for it');
  parent.kill();
  await once(parent, 'exit');
  assert.deepEqual(readdirSync(folder), []);
});

test('letting go leaves a lock alone that is not one’s own any more', async () => {
  const file = join(folder, 'removed');
  const release = await lockStateFile(file);
  rmSync(`${file}.lock`); // by hand
  const other = await lockStateFile(file);
  await release();
  assert.ok(existsSync(`${file}.lock`));
  await other();
});

test('where no lock can be made the error names the file', async () => {
  await assert.rejects(
    lockStateFile(join(folder, 'missing', 'tpm')),
    (error: unknown) =>
      error instanceof VtpmError && error.code === 'vtpm.state-io' && error.message.includes('missing'),
  );
});
