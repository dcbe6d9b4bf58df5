/** A TPM that is reset in the middle of what is done with a key, before each of its commands in turn: swtpm's CMD_INIT. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { KeyError, newPayload, sealTrustedKey, type TrustedBlob, unsealTrustedKey } from '../../src/keys/index.ts';
import * as t from '../../src/tpm/index.ts';
import { finished } from '../fixtures/finished.ts';
import { type RunningSwtpm, runSwtpm } from '../fixtures/running-swtpm.ts';
import { keepStorageKey } from '../fixtures/storage-key.ts';
import { resetBefore } from '../fixtures/swtpm-control.ts';
import { requires } from './requirements.ts';

const PARENT = 0x81000001;
const ASSAY = join(import.meta.dirname, '../../bin/assay');
/** More than any of the operations has. */
const MOST_COMMANDS = 40;

describe('a TPM that is reset meanwhile', requires('swtpm'), () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-reset-'));
  const payload = randomBytes(32);
  let running: RunningSwtpm;
  let transport: t.Transport;
  let policy: t.Policy;
  let plain: TrustedBlob;
  let sealed: TrustedBlob;

  before(async () => {
    running = await runSwtpm();
    transport = await running.transport();
    const tpm = clientOf(transport);
    await keepStorageKey(tpm, PARENT);
    // A TPM that was reset without TPM2_Shutdown counts a wrong try.
    const patience = { newMaxTries: 10_000, newRecoveryTime: 1000, lockoutRecovery: 1000 };
    await tpm.execute(t.TPM2_DictionaryAttackParameters, { lockHandle: t.TPM_RH.LOCKOUT, ...patience });
    policy = [{ kind: 'pcr', values: await t.currentValues(tpm, [{ hash: 'sha256', pcrs: [7] }]) }];
    plain = await sealTrustedKey(tpm, { payload, parent: PARENT });
    sealed = await sealTrustedKey(tpm, { payload, parent: PARENT, policy });
  });
  after(async () => {
    await transport.close();
    await running[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const clientOf = (to: t.Transport): t.TpmClient => new t.TpmClient({ ...bound(to), close: async () => {} });
  const bound = (to: t.Transport) => ({
    description: to.description,
    execute: (bytes: Uint8Array) => to.execute(bytes),
  });

  const seal = (tpm: t.TpmClient, bytes: Uint8Array) => sealTrustedKey(tpm, { payload: bytes, parent: PARENT, policy });
  const operations: Readonly<Record<string, (tpm: t.TpmClient) => Promise<unknown>>> = {
    create: async (tpm) => seal(tpm, await newPayload(tpm, 32)),
    'unseal without a policy': (tpm) => unsealTrustedKey(tpm, plain),
    'unseal under a PCR policy': (tpm) => unsealTrustedKey(tpm, sealed, { policy }),
    'seal anew': async (tpm) => seal(tpm, (await unsealTrustedKey(tpm, sealed, { policy })).payload),
  };

  for (const [name, work] of Object.entries(operations)) {
    test(`${name}: it is done, or told as a reset`, async () => {
      const commands = await countCommands(work);
      const told = { waiting: 0, started: 0 };
      for (let at = 0; at < commands; at++) {
        const waiting = await outcome(work, at, false);
        // A key that is out is not lost because the TPM no longer knows what would be flushed.
        assert.ok(waiting === 'key.tpm-reset' || (waiting === 'done' && at > 1), `waiting, command ${at}: ${waiting}`);
        const started = await outcome(work, at, true);
        assert.ok(['key.tpm-reset', 'done'].includes(started), `started, command ${at}: ${started}`);
        if (waiting !== 'done') told.waiting += 1;
        if (started !== 'done') told.started += 1;
      }
      assert.ok(told.waiting > 1 && told.started > 0, JSON.stringify(told));
    });
  }

  async function countCommands(work: (tpm: t.TpmClient) => Promise<unknown>): Promise<number> {
    let commands = 0;
    const { description, execute } = bound(transport);
    const counted = (bytes: Uint8Array) => {
      commands += 1;
      return execute(bytes);
    };
    await work(new t.TpmClient({ description, execute: counted, close: async () => {} }));
    assert.ok(commands < MOST_COMMANDS);
    return commands;
  }

  async function outcome(
    work: (tpm: t.TpmClient) => Promise<unknown>,
    at: number,
    isStarted: boolean,
  ): Promise<string> {
    try {
      await work(clientOf(resetBefore(at, transport, running.swtpm.control, isStarted)));
      return 'done';
    } catch (error) {
      return error instanceof KeyError ? error.code : String(error);
    } finally {
      await transport.execute(t.marshalCommand(t.TPM2_Startup, { startupType: 'clear' }));
    }
  }

  /** What commands the program sends reach the TPM with a reset before the one of number `at`. */
  async function throughProxy(path: string, at: number): Promise<Server> {
    const broken = resetBefore(at, transport, running.swtpm.control, true);
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (command) => void broken.execute(command).then((answer) => socket.write(answer)));
    });
    await new Promise<void>((listening) => server.listen(path, listening));
    return server;
  }

  async function assay(at: number, ...args: readonly string[]) {
    const path = join(folder, `tpm-${at}`);
    const server = await throughProxy(path, at);
    try {
      const env = { ...process.env, ASSAY_TPM: `swtpm:path=${path}` };
      return await finished(ASSAY, ['key', ...args], { env, cwd: folder });
    } finally {
      await new Promise((closed) => server.close(closed));
    }
  }

  test('a file is written whole or not at all', async () => {
    const options = ['--keyhandle', '0x81000001', '--pcrs', 'sha256:7'];
    const made = await assay(-1, 'create', 'trusted', ...options, '-o', 'kept.blob');
    assert.equal(made.status, 0, made.stderr.toString());
    let resets = 0;
    for (const at of [1, 2, 3, 4, 6, 8, 9]) {
      const listed = readdirSync(folder).filter((name) => !name.startsWith('tpm-'));
      const kept = listed.map((name) => readFileSync(join(folder, name), 'latin1'));
      for (const command of [
        ['create', 'trusted', ...options, '-o', `new-${at}.blob`],
        ['reseal', 'kept.blob', '--pcrs', 'sha256:0,7'],
      ]) {
        const { status, stdout, stderr } = await assay(at, ...command);
        if (status === 0) continue;
        resets += 1;
        assert.match(stderr.toString(), /it was reset meanwhile/, `${command[0]}, command ${at}`);
        assert.equal(stdout.length, 0);
        const after = readdirSync(folder).filter((name) => !name.startsWith('tpm-'));
        assert.deepEqual(
          after.filter((name) => listed.includes(name)).map((name) => readFileSync(join(folder, name), 'latin1')),
          kept,
        );
        assert.ok(!after.some((name) => !listed.includes(name) && !name.startsWith(`new-${at}.blob`)));
      }
    }
    assert.ok(resets > 2, `${resets}`);
  });
});
