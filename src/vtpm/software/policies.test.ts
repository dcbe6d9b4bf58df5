import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusal, NONE, startedTpm } from '../../../test/fixtures/started-tpm.ts';
import {
  marshalCommand,
  Session,
  TPM_RH,
  TPM2_FlushContext,
  TPM2_HierarchyChangeAuth,
  TPM2_NV_DefineSpace,
  TPM2_NV_GlobalWriteLock,
  TPM2_NV_Write,
  TPM2_PolicyCounterTimer,
  TPM2_PolicyGetDigest,
  TPM2_PolicyNV,
  TPM2_PolicyPCR,
  TPM2_PolicySecret,
  TPM2_PolicyTicket,
  TPM2_SetPrimaryPolicy,
  TPM2_Startup,
  type TpmClient,
} from '../../tpm/index.ts';

const INDEX = 0x1500016;
const PCR_0 = { pcrDigest: NONE, pcrs: [{ hash: 'sha256', pcrs: [0] }] } as const;

async function digestOf(client: TpmClient, session: Session): Promise<Uint8Array> {
  return (await client.execute(TPM2_PolicyGetDigest, { policySession: session.handle })).policyDigest;
}

test('a policy that a hierarchy was given authorizes it, and its algorithm must fit its digest', async () => {
  const { client } = startedTpm();
  const trial = await Session.start(client, { type: 'trial' });
  await client.execute(TPM2_PolicyPCR, { policySession: trial.handle, ...PCR_0 });
  const authPolicy = await digestOf(client, trial);
  const authHandle = TPM_RH.OWNER;
  const setSha1 = client.execute(TPM2_SetPrimaryPolicy, { authHandle, authPolicy, hashAlg: 'sha1' });
  await assert.rejects(setSha1, isRefusal('SIZE'));
  const newAuth = Buffer.from('owner');
  const policySession = async () => {
    const session = await Session.start(client, { type: 'policy' });
    await client.execute(TPM2_PolicyPCR, { policySession: session.handle, ...PCR_0 });
    return { auth: { authHandle: { session } } };
  };
  const change = async () => client.execute(TPM2_HierarchyChangeAuth, { authHandle, newAuth }, await policySession());
  await assert.rejects(change());
  await client.execute(TPM2_SetPrimaryPolicy, { authHandle, authPolicy, hashAlg: 'sha256' });
  await change();
  const withoutAuth = client.execute(TPM2_SetPrimaryPolicy, { authHandle, authPolicy: NONE, hashAlg: 'null' });
  await assert.rejects(withoutAuth, isRefusal('BAD_AUTH'));
});

test('a ticket stands for a secret until its time-out, in this power cycle, and with nothing in it changed', async () => {
  let milliseconds = 1000;
  const { tpm, client } = startedTpm({ now: () => milliseconds });
  const policyRef = Buffer.from('reference');
  const secret = await Session.start(client, { type: 'policy' });
  const { timeout, policyTicket } = await client.execute(TPM2_PolicySecret, {
    authHandle: TPM_RH.ENDORSEMENT,
    policySession: secret.handle,
    nonceTPM: secret.nonceTPM,
    cpHashA: NONE,
    policyRef,
    expiration: -10,
  });
  const authName = await client.nameOf(TPM_RH.ENDORSEMENT);
  const use = async (changes: Partial<{ policyRef: Uint8Array; timeout: Uint8Array }> = {}) => {
    const session = await Session.start(client, { type: 'policy' });
    const request = { cpHashA: NONE, policyRef, authName, ticket: policyTicket, timeout, ...changes };
    try {
      await client.execute(TPM2_PolicyTicket, { policySession: session.handle, ...request });
      return await digestOf(client, session);
    } finally {
      await client.execute(TPM2_FlushContext, { flushHandle: session.handle });
    }
  };
  assert.deepEqual(await use(), await digestOf(client, secret));
  await assert.rejects(use({ policyRef: Buffer.from('another') }), isRefusal('TICKET'));
  await assert.rejects(use({ timeout: new Uint8Array(8) }), isRefusal('TICKET'));
  milliseconds += 11_000;
  await assert.rejects(use(), isRefusal('EXPIRED'));

  tpm.powerOn();
  tpm.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
  await assert.rejects(use(), isRefusal('TICKET'));
});

test('a policy about the clock compares with the marshalled time, clock and counters', async () => {
  const { client } = startedTpm({ now: () => 5000 });
  const compare = async (operandB: Uint8Array, offset: number) => {
    const { handle } = await Session.start(client, { type: 'policy' });
    const request = { policySession: handle, operandB, offset, operation: 'unsigned_lt' } as const;
    return client.execute(TPM2_PolicyCounterTimer, request);
  };
  await compare(Buffer.from('0000000000000001', 'hex'), 0);
  await assert.rejects(compare(new Uint8Array(8), 0), isRefusal('POLICY'));
  await assert.rejects(compare(new Uint8Array(8), 18), isRefusal('RANGE'));
});

// As swtpm does, and tpm2-tools' test/integration/tests/abrmd_policynv.sh expects
test('numbers with the sign bit set are compared by magnitude', async () => {
  const { client } = startedTpm();
  const attributes = { ownerread: true, ownerwrite: true, globallock: true };
  const publicInfo = { nvIndex: INDEX, nameAlg: 'sha256', attributes, authPolicy: NONE, dataSize: 1 } as const;
  const authHandle = TPM_RH.OWNER;
  const write = (byte: number) =>
    client.execute(TPM2_NV_Write, { authHandle, nvIndex: INDEX, data: Buffer.of(byte), offset: 0 });
  await client.execute(TPM2_NV_DefineSpace, { authHandle, auth: NONE, publicInfo });
  await write(0x81);
  const isGreaterThan = async (operand: number) => {
    const session = await Session.start(client, { type: 'policy' });
    const comparison = { operandB: Buffer.of(operand), offset: 0, operation: 'signed_gt' } as const;
    const request = { authHandle, nvIndex: INDEX, policySession: session.handle, ...comparison };
    try {
      await client.execute(TPM2_PolicyNV, request);
      return true;
    } catch (error) {
      return !isRefusal('POLICY')(error);
    } finally {
      await client.execute(TPM2_FlushContext, { flushHandle: session.handle });
    }
  };
  assert.deepEqual(
    [await isGreaterThan(0x82), await isGreaterThan(0x80), await isGreaterThan(0x01)],
    [true, false, false],
  );

  await client.execute(TPM2_NV_GlobalWriteLock, { authHandle });
  await assert.rejects(write(0), isRefusal('NV_LOCKED'));
});
