import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  extendPcr,
  readPcrs,
  TPM_RH,
  TPM2_Clear,
  TPM2_FlushContext,
  TPM2_GetRandom,
  TPM2_HierarchyChangeAuth,
  TPM2_NV_DefineSpace,
  TPM2_NV_Read,
  TPM2_NV_Write,
  TPM2_PolicyGetDigest,
  TPM2_PolicyPCR,
  TPM2_ReadClock,
  TPM2_Shutdown,
  TPM2_StartAuthSession,
  TPM2_Startup,
  TpmClient,
} from '../../tpm/index.ts';
import { VtpmError, type VtpmErrorCode } from '../error.ts';
import {
  inProcessTransport,
  memoryStore,
  type PoweredOptions,
  PoweredTpm,
  StateFolder,
  type StateStore,
} from './index.ts';

const root = mkdtempSync(join(tmpdir(), 'assay-powered-'));
after(() => rmSync(root, { recursive: true, force: true }));

let folders = 0;
const newFolder = (): string => join(root, `${folders++}`);

const clientOf = (tpm: PoweredTpm): TpmClient => new TpmClient(inProcessTransport(tpm, 'a test'));

async function started(
  store: StateStore,
  options: PoweredOptions = {},
): Promise<{ tpm: PoweredTpm; client: TpmClient }> {
  const tpm = new PoweredTpm(store, options);
  await tpm.init(false);
  const client = clientOf(tpm);
  await client.execute(TPM2_Startup, { startupType: 'clear' });
  return { tpm, client };
}

const measure = (client: TpmClient): Promise<void> =>
  extendPcr(client, 10, [{ hashAlg: 'sha256', digest: Buffer.alloc(32, 5) }]);

async function pcr(client: TpmClient, index: number): Promise<string> {
  const [read] = await readPcrs(client, 'sha256', [index]);
  return Buffer.from(read?.value ?? []).toString('hex');
}

const rcOf = async (tpm: PoweredTpm): Promise<number> =>
  Buffer.from(await tpm.execute(Buffer.from('80010000000c0000017b0008', 'hex'))).readUInt32BE(6);

const failsWith = (code: VtpmErrorCode, name?: string) => (error: unknown) =>
  error instanceof VtpmError && error.code === code && error.message.includes(name ?? '');

const NONE = new Uint8Array(0);
const NV_INDEX = 0x0180_0001;
const CONTENT = Buffer.from('outlives power');

test('a cleared TPM is cleared for its next life too, also where the process is killed', async () => {
  const folder = newFolder();
  const { client } = await started(await StateFolder.open(folder));
  await writeNv(client);
  const ownerAuth = Buffer.from('owner');
  await client.execute(TPM2_HierarchyChangeAuth, { authHandle: TPM_RH.OWNER, newAuth: ownerAuth });
  await client.execute(TPM2_Clear, { authHandle: TPM_RH.LOCKOUT });
  const names = (await readdir(folder)).filter((name) => !name.endsWith('.lock'));
  const copy = newFolder();
  await mkdir(copy, { mode: 0o700 });
  for (const name of names) await copyFile(join(folder, name), join(copy, name)); // as a kill would leave it
  const next = await started(await StateFolder.open(copy));
  await assert.rejects(
    next.client.execute(TPM2_NV_Read, { authHandle: NV_INDEX, nvIndex: NV_INDEX, size: CONTENT.length, offset: 0 }),
  );
  await next.client.execute(TPM2_HierarchyChangeAuth, { authHandle: TPM_RH.OWNER, newAuth: NONE });
});

async function writeNv(client: TpmClient): Promise<void> {
  const publicInfo = {
    nvIndex: NV_INDEX,
    nameAlg: 'sha256',
    attributes: { authread: true, authwrite: true, no_da: true },
    authPolicy: NONE,
    dataSize: CONTENT.length,
  } as const;
  await client.execute(TPM2_NV_DefineSpace, { authHandle: TPM_RH.OWNER, auth: NONE, publicInfo });
  await client.execute(TPM2_NV_Write, { authHandle: NV_INDEX, nvIndex: NV_INDEX, data: CONTENT, offset: 0 });
}

async function readNv(client: TpmClient): Promise<string> {
  const request = { authHandle: NV_INDEX, nvIndex: NV_INDEX, size: CONTENT.length, offset: 0 };
  return Buffer.from((await client.execute(TPM2_NV_Read, request)).data).toString();
}

test('without power there is only failure; with it, TPM2_Startup comes first', async () => {
  const tpm = new PoweredTpm(memoryStore('a test'));
  assert.equal(await rcOf(tpm), 0x101);
  await tpm.init(false);
  assert.equal(await rcOf(tpm), 0x100);
  await clientOf(tpm).execute(TPM2_Startup, { startupType: 'clear' });
  assert.equal(await rcOf(tpm), 0);
  await tpm.stop();
  assert.equal(await rcOf(tpm), 0x101);
});

test('what survives power is in the folder before it is answered, and the rest is gone with power', async () => {
  const folder = newFolder();
  const { client } = await started(await StateFolder.open(folder));
  await writeNv(client);
  await measure(client);
  rmSync(join(folder, 'tpm2-00.permall.lock')); // the process was killed

  const again = await started(await StateFolder.open(folder));
  assert.equal(await readNv(again.client), CONTENT.toString());
  assert.equal(await pcr(again.client, 10), '00'.repeat(32));
  assert.equal(statSync(join(folder, 'tpm2-00.permall')).mode & 0o777, 0o640);
  await again.tpm.close();
  assert.equal(existsSync(join(folder, 'tpm2-00.permall.lock')), false);
});

test('an extend writes nothing', async () => {
  const folder = newFolder();
  const { tpm, client } = await started(await StateFolder.open(folder));
  await measure(client);
  const file = join(folder, 'tpm2-00.permall');
  const before = statSync(file);
  await measure(client);
  assert.equal(statSync(file).ino, before.ino);
  await tpm.close();
});

test('stored volatile state is where the next start goes on, once where it is to be deleted', async () => {
  const folder = newFolder();
  const { tpm, client } = await started(await StateFolder.open(folder));
  await measure(client);
  const measured = await pcr(client, 10);
  const session = await openPolicySession(client);
  await tpm.storeVolatile();
  await tpm.close();

  const again = new PoweredTpm(await StateFolder.open(folder));
  await again.init(true);
  assert.equal(await pcr(clientOf(again), 10), measured);
  assert.notEqual(await policyDigest(clientOf(again), session), '00'.repeat(32));
  assert.equal(existsSync(join(folder, 'tpm2-00.volatilestate')), false);
  await again.init(true);
  assert.equal(await rcOf(again), 0x100);
  await again.close();
});

test('stored volatile state that the TPM went past is not resumed: PCRs never go back without a reset', async () => {
  const folder = newFolder();
  const { tpm, client } = await started(await StateFolder.open(folder));
  await measure(client);
  await tpm.storeVolatile();
  await measure(client);
  assert.equal(existsSync(join(folder, 'tpm2-00.volatilestate')), false);
  await tpm.init(false);
  assert.equal(await rcOf(tpm), 0x100);
  await tpm.close();
});

test('power that goes without TPM2_Shutdown is shut down orderly, unless that is left to the guest', async () => {
  const counters = async (options: PoweredOptions): Promise<readonly [number, number]> => {
    const { tpm, client } = await started(memoryStore('a test'), options);
    await tpm.init(false);
    await client.execute(TPM2_Startup, { startupType: 'clear' });
    const { resetCount, restartCount } = (await client.execute(TPM2_ReadClock, {})).currentTime.clockInfo;
    return [resetCount, restartCount];
  };
  assert.deepEqual(await counters({}), [1, 1]);
  assert.deepEqual(await counters({ disableAutoShutdown: true }), [2, 0]);
});

test('a TPM2_Shutdown of the guest is not followed by another', async () => {
  const { tpm, client } = await started(memoryStore('a test'));
  await client.execute(TPM2_Shutdown, { shutdownType: 'clear' });
  await tpm.init(false);
  await assert.rejects(client.execute(TPM2_Startup, { startupType: 'state' }), /TPM_RC_VALUE/);
});

async function openPolicySession(client: TpmClient): Promise<number> {
  const { sessionHandle } = await client.execute(TPM2_StartAuthSession, {
    tpmKey: TPM_RH.NULL,
    bind: TPM_RH.NULL,
    nonceCaller: Buffer.alloc(16, 1),
    encryptedSalt: NONE,
    sessionType: 'policy',
    symmetric: { algorithm: 'null' },
    authHash: 'sha256',
  });
  await client.execute(TPM2_PolicyPCR, {
    policySession: sessionHandle,
    pcrDigest: NONE,
    pcrs: [{ hash: 'sha256', pcrs: [10] }],
  });
  return sessionHandle;
}

const policyDigest = async (client: TpmClient, policySession: number): Promise<string> =>
  Buffer.from((await client.execute(TPM2_PolicyGetDigest, { policySession })).policyDigest).toString('hex');

/** As QEMU moves it: permanent first. */
async function move(from: PoweredTpm, to: PoweredTpm, isPlain = false): Promise<void> {
  for (const part of ['permanent', 'volatile'] as const)
    await to.setState(part, (await from.getState(part, isPlain)).blob);
  await from.handedOver();
  await to.init(true);
}

const KEYS: readonly (readonly [what: string, state: Buffer | undefined, migration: Buffer | undefined])[] = [
  ['no key', undefined, undefined],
  ['a state key', Buffer.alloc(32, 1), undefined],
  ['a migration key', undefined, Buffer.alloc(16, 2)],
  ['both keys', Buffer.alloc(16, 3), Buffer.alloc(32, 4)],
];

for (const [what, key, migrationKey] of KEYS) {
  test(`a TPM in use moves to another host and back, with ${what}: PCRs, NV memory, sessions, established bit`, async () => {
    const here = await started(await StateFolder.open(newFolder(), { key }), { migrationKey });
    await writeNv(here.client);
    await measure(here.client);
    await here.tpm.hashStart();
    await here.tpm.hashEnd();
    const session = await openPolicySession(here.client);
    const expected = [await pcr(here.client, 10), await pcr(here.client, 17), await policyDigest(here.client, session)];
    const there = new PoweredTpm(await StateFolder.open(newFolder(), { key }), { migrationKey });
    let [from, to] = [here.tpm, there];
    for (let way = 0; way < 2; way++) {
      await move(from, to);
      const client = clientOf(to);
      assert.deepEqual([await pcr(client, 10), await pcr(client, 17), await policyDigest(client, session)], expected);
      assert.equal(await readNv(client), CONTENT.toString());
      assert.equal(to.isEstablished, true);
      await from.stop();
      [from, to] = [to, from];
    }
    await clientOf(from).execute(TPM2_FlushContext, { flushHandle: session });
    await here.tpm.close();
    await there.close();
  });
}

test('what comes from another host is taken whole, and is under the keys of this one; else nothing of it is kept', async () => {
  const key = Buffer.alloc(32, 1);
  const source = await started(await StateFolder.open(newFolder(), { key }), { migrationKey: Buffer.alloc(32, 2) });
  const other = await started(memoryStore('another'));
  const permanent = await source.tpm.getState('permanent', false);
  const volatile = await source.tpm.getState('volatile', false);
  assert.equal(permanent.isEncrypted, true);
  assert.equal((await source.tpm.getState('permanent', true)).isEncrypted, false);

  const folder = newFolder();
  const target = new PoweredTpm(await StateFolder.open(folder, { key }), { migrationKey: Buffer.alloc(32, 2) });
  const changed = Buffer.from(permanent.blob);
  changed[100] = (changed[100] ?? 0) ^ 1;
  await assert.rejects(target.setState('permanent', changed), failsWith('vtpm.state-damaged'));
  await assert.rejects(target.setState('volatile', volatile.blob), failsWith('vtpm.state-damaged'));
  await target.setState('permanent', permanent.blob);
  // Another TPM's memory: refused, and with it what had come before
  await assert.rejects(
    target.setState('volatile', (await other.tpm.getState('volatile', true)).blob),
    failsWith('vtpm.state-damaged', folder),
  );
  await assert.rejects(target.setState('volatile', volatile.blob), failsWith('vtpm.state-damaged'));
  assert.equal(existsSync(join(folder, 'tpm2-00.permall')), false);

  const keyless = new PoweredTpm(memoryStore('keyless'));
  await assert.rejects(keyless.setState('permanent', permanent.blob), failsWith('vtpm.state-key'));
  for (const one of [source.tpm, other.tpm, target]) await one.close();
});

test('a state under a key is not opened with none or another, is not changed then, and the file is named', async () => {
  const folder = newFolder();
  const { tpm } = await started(await StateFolder.open(folder, { key: Buffer.alloc(16, 1) }));
  await tpm.close();
  const file = join(folder, 'tpm2-00.permall');
  const before = readFileSync(file);
  for (const key of [undefined, Buffer.alloc(16, 2), Buffer.alloc(32, 1)]) {
    const wrong = new PoweredTpm(await StateFolder.open(folder, { key }));
    await assert.rejects(
      wrong.init(false),
      (error: unknown) => error instanceof VtpmError && error.message.includes(file),
    );
    assert.equal(wrong.isRunning, false);
    await wrong.close();
  }
  assert.deepEqual(readFileSync(file), before);
});

test('each part that is damaged keeps the TPM off, and is named', async () => {
  const folder = newFolder();
  const { tpm, client } = await started(await StateFolder.open(folder));
  await measure(client);
  await tpm.storeVolatile();
  await tpm.close();
  for (const name of ['tpm2-00.permall', 'tpm2-00.volatilestate']) {
    const file = join(folder, name);
    const whole = readFileSync(file);
    const changed = Buffer.from(whole);
    changed[whole.length >> 1] = (changed[whole.length >> 1] ?? 0) ^ 4;
    writeFileSync(file, changed);
    const opened = new PoweredTpm(await StateFolder.open(folder));
    await assert.rejects(opened.init(false), failsWith('vtpm.state-damaged', file));
    await opened.close();
    writeFileSync(file, whole);
  }
});

test('a change that cannot be kept is answered as a failure, told, and power is gone; the kept state is where it goes on', async () => {
  const store = memoryStore('a full disk');
  let isFull = false;
  const told: unknown[] = [];
  const full: StateStore = {
    ...store,
    store: (part, state) =>
      isFull ? Promise.reject(new VtpmError('vtpm.state-io', 'full')) : store.store(part, state),
  };
  const { tpm, client } = await started(full, { onFailure: (error) => told.push(error) });
  isFull = true;
  await assert.rejects(writeNv(client), /TPM_RC_FAILURE/);
  assert.equal(told.length, 1);
  assert.equal(tpm.isRunning, false);
  isFull = false;
  await tpm.init(false);
  await client.execute(TPM2_Startup, { startupType: 'clear' });
  await assert.rejects(readNv(client), /TPM_RC_HANDLE/);
});

test('another process has to wait until the folder is left, which a moved TPM leaves where that was asked', async () => {
  const folder = newFolder();
  const { tpm } = await started(await StateFolder.open(folder), { releasesWhenGone: true });
  const second = new PoweredTpm(await StateFolder.open(folder));
  await assert.rejects(second.init(false), failsWith('vtpm.state-in-use'));
  const incoming = new PoweredTpm(await StateFolder.open(folder), { isIncoming: true });
  const { blob } = await tpm.getState('permanent', false);
  await assert.rejects(incoming.setState('permanent', blob), failsWith('vtpm.state-in-use'));
  await tpm.handedOver();
  await incoming.setState('permanent', blob);
  await assert.rejects(clientOf(tpm).execute(TPM2_GetRandom, { bytesRequested: 8 }), failsWith('vtpm.state-in-use'));
  await incoming.close();
  await clientOf(tpm).execute(TPM2_GetRandom, { bytesRequested: 8 }); // it did not move after all
  await tpm.close();
});
