import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusal, NONE, startedTpm } from '../../../test/fixtures/started-tpm.ts';
import {
  Session,
  TPM_NT,
  TPM_RH,
  TPM2_NV_DefineSpace,
  TPM2_NV_Read,
  TPM2_NV_Write,
  TPM2_PolicySecret,
  type TpmClient,
} from '../../tpm/index.ts';

const INDEX = 0x1500020;
const PIN = Buffer.from('1234');
const OWNER = { authHandle: TPM_RH.OWNER, nvIndex: INDEX } as const;

async function define(client: TpmClient, nt: number, attributes: object = {}): Promise<void> {
  const publicInfo = {
    nvIndex: INDEX,
    nameAlg: 'sha256',
    attributes: { nt, no_da: true, ownerwrite: true, ownerread: true, authread: true, ...attributes },
    authPolicy: NONE,
    dataSize: 8,
  } as const;
  await client.execute(TPM2_NV_DefineSpace, { authHandle: TPM_RH.OWNER, auth: PIN, publicInfo });
}

/** TPMS_NV_PIN_COUNTER_PARAMETERS (Part 2, 13.3): pinCount, pinLimit. */
async function setCount(client: TpmClient, count: number, limit: number): Promise<void> {
  const data = Buffer.alloc(8);
  data.writeUInt32BE(count, 0);
  data.writeUInt32BE(limit, 4);
  await client.execute(TPM2_NV_Write, { ...OWNER, data, offset: 0 });
}

async function counts(client: TpmClient): Promise<[number, number]> {
  const data = Buffer.from((await client.execute(TPM2_NV_Read, { ...OWNER, size: 8, offset: 0 })).data);
  return [data.readUInt32BE(0), data.readUInt32BE(4)];
}

/** Gives the value of the index in the clear. */
async function present(client: TpmClient, password: Uint8Array): Promise<void> {
  const session = await Session.start(client, { type: 'policy' });
  const request = { authHandle: INDEX, policySession: session.handle, nonceTPM: NONE, cpHashA: NONE, policyRef: NONE };
  try {
    await client.execute(TPM2_PolicySecret, { ...request, expiration: 0 }, { auth: { authHandle: { password } } });
  } finally {
    await session.flush(client);
  }
}

const WRONG = Buffer.from('4321');

test('PIN Pass counts every right use up to its limit, and no wrong one', async () => {
  const { client } = startedTpm();
  await define(client, TPM_NT.PIN_PASS);
  await assert.rejects(present(client, PIN), isRefusal('AUTH_UNAVAILABLE'), 'it was never written');
  await setCount(client, 0, 2);
  await assert.rejects(present(client, WRONG), isRefusal('BAD_AUTH'));
  assert.deepEqual(await counts(client), [0, 2]);
  await present(client, PIN);
  await present(client, PIN);
  assert.deepEqual(await counts(client), [2, 2]);
  await assert.rejects(present(client, PIN), isRefusal('AUTH_UNAVAILABLE'));
  await setCount(client, 1, 2);
  await present(client, PIN);
});

test('PIN Fail counts wrong uses in a row; the right one begins anew, until the limit is reached', async () => {
  const { client } = startedTpm();
  await define(client, TPM_NT.PIN_FAIL);
  await setCount(client, 0, 2);
  await assert.rejects(present(client, WRONG), isRefusal('BAD_AUTH'));
  assert.deepEqual(await counts(client), [1, 2]);
  await present(client, PIN);
  assert.deepEqual(await counts(client), [0, 2]);
  for (let i = 0; i < 2; i++) await assert.rejects(present(client, WRONG), isRefusal('BAD_AUTH'));
  await assert.rejects(present(client, PIN), isRefusal('AUTH_UNAVAILABLE'));
  assert.deepEqual(await counts(client), [2, 2]);
});

test('a session is not bound to an index that counts: its value would be proven without a count', async () => {
  const { client } = startedTpm();
  await define(client, TPM_NT.PIN_PASS);
  await setCount(client, 0, 9);
  const bound = Session.start(client, { type: 'hmac', bind: { handle: INDEX, auth: PIN } });
  await assert.rejects(bound, isRefusal('HANDLE'));
});

test('who knows the PIN may not set its counts; failures of a PIN are not those of the TPM', async () => {
  const { client } = startedTpm();
  await assert.rejects(define(client, TPM_NT.PIN_PASS, { authwrite: true }), isRefusal('ATTRIBUTES'));
  await assert.rejects(define(client, TPM_NT.PIN_FAIL, { no_da: false }), isRefusal('ATTRIBUTES'));
});
