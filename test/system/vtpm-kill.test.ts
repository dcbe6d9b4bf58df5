/**
 * kill -9 at every system call with which a software TPM keeps its state: the old state or the new is there, never another,
 * and what was answered is.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readPcrs, TPM2_NV_Read, TPM2_Startup, TpmClient } from '../../src/tpm/index.ts';
import { inProcessTransport, PoweredTpm, StateFolder } from '../../src/vtpm/index.ts';
import { requires } from './requirements.ts';

const WRITER = join(import.meta.dirname, 'vtpm-written.ts');
const NV_INDEX = 0x0180_0001;
const UNCHANGED = '00'.repeat(32);

interface Writer {
  readonly child: ChildProcess;
  said(): string;
}

async function startWriter(folder: string): Promise<Writer> {
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' }; // one thread makes all calls, so that they can be counted
  const child = spawn(process.execPath, [WRITER, folder], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (data: Buffer) => (said += data.toString()));
  while (!said.includes('step 0')) await once(child.stdout, 'data');
  return { child, said: () => said };
}

/** Sends SIGKILL when the thread that writes is about to make its n-th call. @returns how many steps were answered */
async function killAtCall(folder: string, call: number): Promise<{ answered: number; isDone: boolean }> {
  const { child, said } = await startWriter(folder);
  const tasks = `/proc/${child.pid}/task`;
  const thread = readdirSync(tasks).find(
    (id) => readFileSync(`${tasks}/${id}/comm`, 'latin1').trim() === 'libuv-worker',
  );
  const inject = ['-e', 'trace=%file,%desc', '-e', `inject=%file,%desc:signal=KILL:when=${call}`];
  const tracer = spawn('strace', ['-o', '/dev/null', '-p', `${thread}`, ...inject], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let attached = '';
  tracer.stderr.on('data', (data: Buffer) => (attached += data.toString()));
  while (!attached.includes('attached')) await once(tracer.stderr, 'data');
  const gone = once(child, 'close');
  child.stdin?.write('go on\n');
  while (child.exitCode === null && child.signalCode === null && !said().includes('all is done')) await sleep(2);
  const isDone = said().includes('all is done');
  child.kill('SIGKILL');
  await gone;
  tracer.kill();
  return { answered: said().split('is done').length - 2, isDone };
}

async function look(folder: string): Promise<{ nv: string; pcr10: string | undefined }> {
  const tpm = new PoweredTpm(await StateFolder.open(folder, { key: Buffer.alloc(32, 1) }));
  await tpm.init(false);
  const client = new TpmClient(inProcessTransport(tpm, folder));
  const resumed = await readPcrs(client, 'sha256', [10]).catch(() => undefined);
  if (resumed === undefined) await client.execute(TPM2_Startup, { startupType: 'clear' });
  const { data } = await client.execute(TPM2_NV_Read, { authHandle: NV_INDEX, nvIndex: NV_INDEX, size: 3, offset: 0 });
  await tpm.close();
  const pcr10 = resumed && Buffer.from(resumed[0]?.value ?? []).toString('hex');
  return { nv: Buffer.from(data).toString(), pcr10 };
}

test('a software TPM that is killed anywhere in its writing has its old state or its new one', {
  ...requires('strace'),
  timeout: 180_000,
}, async () => {
  const seen = new Set<string>();
  let call = 0;
  for (let isDone = false; !isDone; ) {
    call++;
    const folder = mkdtempSync(join(tmpdir(), 'assay-vtpm-kill-'));
    try {
      const end = await killAtCall(folder, call);
      isDone = end.isDone;
      const { nv, pcr10 } = await look(folder);
      seen.add(`${nv} ${pcr10}`);
      assert.ok(nv === 'old' || nv === 'new', `call ${call}: ${nv}`);
      assert.ok(end.answered < 1 || nv === 'new', `call ${call}: the answered write is lost`);
      // PCRs come back as they were stored, until the TPM went past that
      assert.ok(pcr10 === undefined || pcr10 === UNCHANGED, `call ${call}: PCR 10 ${pcr10}`);
      if (end.answered >= 3) assert.equal(pcr10, undefined, `call ${call}: PCR 10 went back`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  assert.ok(call > 15, `${call} calls`);
  assert.deepEqual([...seen].sort(), ['new undefined', `new ${UNCHANGED}`, 'old undefined'].sort());
});
