import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  extendPcr,
  readPcrs,
  TPM2_PCR_Read,
  TPM2_ReadClock,
  TPM2_Shutdown,
  TPM2_Startup,
  TpmClient,
} from '../../tpm/index.ts';
import { inProcessTransport, SoftwareTpm } from './index.ts';

const DATA = Buffer.from('1234');
const ZEROS = Buffer.alloc(32);

interface Rig {
  readonly tpm: SoftwareTpm;
  readonly client: TpmClient;
  pcr(pcr: number): Promise<string>;
  /** The PCR update counter. */
  counter(): Promise<number>;
}

function rig(): Rig {
  const tpm = SoftwareTpm.manufacture();
  const client = new TpmClient(inProcessTransport(tpm, 'a test'));
  return {
    tpm,
    client,
    pcr: async (pcr) => Buffer.from((await readPcrs(client, 'sha256', [pcr]))[0]?.value ?? []).toString('hex'),
    counter: async () => (await client.execute(TPM2_PCR_Read, { pcrSelectionIn: [] })).pcrUpdateCounter,
  };
}

function launch(tpm: SoftwareTpm, ...chunks: readonly Uint8Array[]): void {
  tpm.hashStart();
  for (const chunk of chunks) tpm.hashData(chunk);
  tpm.hashEnd();
}

// Values and counters as swtpm's own tests have them: tests/_test_tpm2_hashing, _hashing3, _savestate

test('a dynamic launch: PCR 17 tells it, PCRs 18 to 22 are zero, and the TPM was restarted', async () => {
  const { tpm, client, pcr, counter } = rig();
  await client.execute(TPM2_Startup, { startupType: 'clear' });
  assert.equal(await counter(), 0x14);
  assert.equal(await pcr(17), 'ff'.repeat(32));
  assert.equal(tpm.isEstablished, false);

  launch(tpm, DATA);
  assert.equal(await pcr(17), 'fca5d649bfb0c922fd330f79b20043289dafd60d01a4c4373cf28adb56c9b454');
  assert.equal(await counter(), 0x18);
  for (const dynamic of [18, 19, 20, 21, 22]) assert.equal(await pcr(dynamic), '00'.repeat(32));
  assert.equal((await client.execute(TPM2_ReadClock, {})).currentTime.clockInfo.restartCount, 1);
  assert.equal(tpm.isEstablished, true);

  const chunk = Buffer.alloc(4096);
  launch(tpm, ...Array.from({ length: 256 }, () => chunk));
  assert.equal(await pcr(17), '277edef10256465d8e7165383fd363c98abe89e2902e4d3a2b3a30802f28af19');
});

test('before the TPM is started it is the H-CRTM, which PCR 0 keeps over TPM2_Startup', async () => {
  const { tpm, client, pcr, counter } = rig();
  launch(tpm, DATA);
  await client.execute(TPM2_Startup, { startupType: 'clear' });
  assert.equal(await pcr(0), '340a233fac4ca014986e45dd95ec776a7a3f86a21074f43a4390c5b8c3abeaf4');
  assert.equal(await pcr(17), 'ff'.repeat(32));
  assert.equal(await counter(), 0x14);
  assert.equal(tpm.isEstablished, true);
});

test('a resume has to begin as the start before did, with an H-CRTM or without', async () => {
  const { tpm, client, pcr } = rig();
  launch(tpm, DATA);
  await client.execute(TPM2_Startup, { startupType: 'clear' });
  const measured = await pcr(0);
  await client.execute(TPM2_Shutdown, { shutdownType: 'state' });
  tpm.powerOn();
  await assert.rejects(client.execute(TPM2_Startup, { startupType: 'state' }), /TPM_RC_VALUE/);
  launch(tpm, DATA);
  await client.execute(TPM2_Startup, { startupType: 'state' });
  assert.equal(await pcr(0), measured);
});

test('the update counter goes on over a resume, which starts the PCRs anew that are not kept', async () => {
  const { tpm, client, counter } = rig();
  await client.execute(TPM2_Startup, { startupType: 'clear' });
  await extendPcr(client, 10, [{ hashAlg: 'sha256', digest: ZEROS }]);
  assert.equal(await counter(), 0x15);
  await client.execute(TPM2_Shutdown, { shutdownType: 'state' });
  tpm.powerOn();
  await client.execute(TPM2_Startup, { startupType: 'state' });
  assert.equal(await counter(), 0x19);
});

test('a command in between ends the sequence without effect; data and end without a start do nothing', async () => {
  const { tpm, client, pcr } = rig();
  await client.execute(TPM2_Startup, { startupType: 'clear' });
  tpm.hashStart();
  tpm.hashData(DATA);
  await client.execute(TPM2_ReadClock, {});
  tpm.hashData(DATA);
  tpm.hashEnd();
  assert.equal(await pcr(17), 'ff'.repeat(32));
});

test('the established bit outlives power, and only localities 3 and 4 reset it', async () => {
  const { tpm } = rig();
  launch(tpm);
  tpm.powerOn();
  assert.equal(tpm.isEstablished, true);
  for (const locality of [0, 1, 2, 5]) assert.equal(tpm.resetEstablished(locality), false);
  assert.equal(tpm.isEstablished, true);
  assert.equal(tpm.resetEstablished(3), true);
  assert.equal(tpm.isEstablished, false);
});

test('TPM2_Startup comes at locality 0 or 3, which PCR 0 tells', async () => {
  const { tpm, client, pcr } = rig();
  const startup = Buffer.from('80010000000c000001440000', 'hex');
  for (const locality of [1, 2, 4, 32]) assert.equal(tpm.execute(startup, locality)[9], 0x07);
  tpm.execute(startup, 3);
  assert.equal(await pcr(0), `${'00'.repeat(31)}03`);
  await client.execute(TPM2_Shutdown, { shutdownType: 'state' });
  tpm.powerOn();
  await assert.rejects(client.execute(TPM2_Startup, { startupType: 'state' }), /TPM_RC_LOCALITY/);
});
