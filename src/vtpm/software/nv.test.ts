import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusal, NONE, type Started, startedTpm } from '../../../test/fixtures/started-tpm.ts';
import {
  marshalCommand,
  TPM_NT,
  TPM_RH,
  TPM2_HierarchyControl,
  TPM2_NV_DefineSpace,
  TPM2_NV_Increment,
  TPM2_NV_Read,
  TPM2_NV_UndefineSpace,
  TPM2_Shutdown,
  TPM2_Startup,
  type TpmClient,
} from '../../tpm/index.ts';

const INDEX = 0x1500030;
const OWNER = { authHandle: TPM_RH.OWNER, nvIndex: INDEX } as const;

async function define(client: TpmClient, isOrderly: boolean): Promise<void> {
  const publicInfo = {
    nvIndex: INDEX,
    nameAlg: 'sha256',
    attributes: { nt: TPM_NT.COUNTER, ownerwrite: true, ownerread: true, ...(isOrderly && { orderly: true }) },
    authPolicy: NONE,
    dataSize: 8,
  } as const;
  await client.execute(TPM2_NV_DefineSpace, { authHandle: TPM_RH.OWNER, auth: NONE, publicInfo });
}

const increment = (client: TpmClient) => client.execute(TPM2_NV_Increment, OWNER);

async function count(client: TpmClient): Promise<bigint> {
  return Buffer.from((await client.execute(TPM2_NV_Read, { ...OWNER, size: 8, offset: 0 })).data).readBigUInt64BE();
}

function restart({ tpm }: Started, shutdownType?: 'clear' | 'state'): void {
  if (shutdownType !== undefined) tpm.execute(marshalCommand(TPM2_Shutdown, { shutdownType }));
  tpm.powerOn();
  tpm.execute(marshalCommand(TPM2_Startup, { startupType: shutdownType ?? 'clear' }));
}

test('an orderly counter goes on after a shutdown, and without one where it cannot have been', async () => {
  const started = startedTpm();
  const { client } = started;
  await define(client, true);
  await assert.rejects(count(client), isRefusal('NV_UNINITIALIZED'));
  for (let i = 0; i < 3; i++) await increment(client);
  assert.equal(await count(client), 3n);
  restart(started, 'clear');
  assert.equal(await count(client), 3n);
  await increment(client);
  restart(started, 'state');
  assert.equal(await count(client), 4n);
  await increment(client);
  // Part 1, 37.2.4: the count in NV memory is behind by less than TPM_PT_ORDERLY_COUNT, 255
  restart(started);
  assert.equal(await count(client), 255n);
  await increment(client);
  assert.equal(await count(client), 256n);
});

test('a counter that is not orderly shows each count, whatever becomes of power', async () => {
  const started = startedTpm();
  await define(started.client, false);
  await increment(started.client);
  restart(started);
  assert.equal(await count(started.client), 1n);
});

test('an index that is too large is refused for that, whoever defines it', async () => {
  const { client } = startedTpm();
  const hierarchy = { authHandle: TPM_RH.PLATFORM, enable: TPM_RH.PLATFORM_NV, state: false } as const;
  await client.execute(TPM2_HierarchyControl, hierarchy);
  const define = (dataSize: number) => {
    const attributes = { platformcreate: true, ppread: true, ppwrite: true } as const;
    const publicInfo = { nvIndex: INDEX, nameAlg: 'sha256', attributes, authPolicy: NONE, dataSize } as const;
    return client.execute(TPM2_NV_DefineSpace, { authHandle: TPM_RH.PLATFORM, auth: NONE, publicInfo });
  };
  await assert.rejects(define(2049), isRefusal('SIZE'));
  await assert.rejects(define(2048), isRefusal('HIERARCHY'));
});

test('a counter that is defined again begins above all that were removed', async () => {
  const { client } = startedTpm();
  await define(client, false);
  for (let i = 0; i < 5; i++) await increment(client);
  await client.execute(TPM2_NV_UndefineSpace, OWNER);
  await define(client, true);
  await increment(client);
  assert.equal(await count(client), 6n);
});
