import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_FACTS, NONE, startedTpm } from '../../../test/fixtures/started-tpm.ts';
import {
  COMMANDS,
  EK_PROFILES,
  isResponseCode,
  Session,
  TPM_RH,
  TPM2_Create,
  TPM2_CreatePrimary,
  TPM2_Duplicate,
  TPM2_Import,
  TPM2_Load,
  TPM2_LoadExternal,
  TPM2_PolicyCommandCode,
  TPM2_PolicyGetDigest,
  TPM2_Unseal,
  type TPMT_PUBLIC,
  type TpmClient,
  TpmError,
} from '../../tpm/index.ts';

const AES = { algorithm: 'aes', keyBits: 128, mode: 'cfb' } as const;
const SECRET = Buffer.from('it moves');

function storageKey(client: TpmClient, profile: 'p256' | 'rsa2048') {
  const { template } = EK_PROFILES[profile];
  const objectAttributes = { ...template.objectAttributes, adminWithPolicy: false, userWithAuth: true };
  const inPublic: TPMT_PUBLIC = { ...template, objectAttributes, authPolicy: NONE };
  return client.execute(TPM2_CreatePrimary, { primaryHandle: TPM_RH.OWNER, inPublic, ...NO_FACTS });
}

async function duplicationPolicy(client: TpmClient, type: 'trial' | 'policy') {
  const session = await Session.start(client, { type });
  const { handle: policySession } = session;
  await client.execute(TPM2_PolicyCommandCode, { policySession, code: COMMANDS.TPM2_Duplicate.code });
  return { session, digest: (await client.execute(TPM2_PolicyGetDigest, { policySession })).policyDigest };
}

for (const profile of ['p256', 'rsa2048'] as const) {
  test(`a sealed secret moves to another TPM's ${profile} storage key, and not with a byte changed`, async () => {
    const [source, target] = [startedTpm().client, startedTpm().client];
    const parent = await storageKey(source, 'p256');
    const newParent = await storageKey(target, profile);
    const { digest: authPolicy } = await duplicationPolicy(source, 'trial');
    const created = await source.execute(TPM2_Create, {
      parentHandle: parent.objectHandle,
      inSensitive: { userAuth: NONE, data: SECRET },
      inPublic: {
        type: 'keyedhash',
        nameAlg: 'sha256',
        objectAttributes: { userWithAuth: true, encryptedDuplication: true },
        authPolicy,
        parameters: { scheme: { scheme: 'null' } },
        unique: NONE,
      },
      outsideInfo: NONE,
      creationPCR: [],
    });
    const { outPrivate: inPrivate, outPublic: inPublic } = created;
    const loaded = await source.execute(TPM2_Load, { parentHandle: parent.objectHandle, inPrivate, inPublic });
    const external = { inPrivate: undefined, inPublic: newParent.outPublic, hierarchy: TPM_RH.OWNER };
    const { objectHandle: newParentHandle } = await source.execute(TPM2_LoadExternal, external);
    const { session } = await duplicationPolicy(source, 'policy');
    const { duplicate, outSymSeed, encryptionKeyOut } = await source.execute(
      TPM2_Duplicate,
      { objectHandle: loaded.objectHandle, newParentHandle, encryptionKeyIn: NONE, symmetricAlg: AES },
      { auth: { objectHandle: { session } } },
    );

    const parentHandle = newParent.objectHandle;
    const wrapped = { encryptionKey: encryptionKeyOut, inSymSeed: outSymSeed, symmetricAlg: AES };
    const request = { parentHandle, objectPublic: inPublic, duplicate, ...wrapped };
    for (const at of [2, 40, duplicate.length - 1]) {
      const changed = Uint8Array.from(duplicate, (byte, i) => (i === at ? byte ^ 1 : byte));
      await assert.rejects(
        target.execute(TPM2_Import, { ...request, duplicate: changed }),
        (error) => error instanceof TpmError && error.rc !== undefined && isResponseCode(error.rc, 'INTEGRITY'),
      );
    }
    const { outPrivate } = await target.execute(TPM2_Import, request);
    const moved = await target.execute(TPM2_Load, { parentHandle, inPrivate: outPrivate, inPublic });
    const { outData } = await target.execute(TPM2_Unseal, { itemHandle: moved.objectHandle });
    assert.deepEqual(Buffer.from(outData), SECRET);
  });
}
