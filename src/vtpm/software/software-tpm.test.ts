import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digest, toHex } from '../../bytes/index.ts';
import {
  AES_128_CFB,
  COMMANDS,
  commandName,
  describeResponseCode,
  EK_PROFILES,
  handleName,
  marshalCommand,
  objectName,
  Session,
  TPM_RC,
  TPM_RH,
  TPM2_ContextLoad,
  TPM2_ContextSave,
  TPM2_Create,
  TPM2_CreatePrimary,
  TPM2_FlushContext,
  TPM2_GetRandom,
  TPM2_HierarchyChangeAuth,
  TPM2_Load,
  TPM2_NV_DefineSpace,
  TPM2_NV_Read,
  TPM2_PCR_Extend,
  TPM2_PCR_Read,
  TPM2_PCR_Reset,
  TPM2_PolicyGetDigest,
  TPM2_PolicyPCR,
  TPM2_PolicySecret,
  TPM2_ReadClock,
  TPM2_Shutdown,
  TPM2_Startup,
  TPM2_Unseal,
  type TPMT_PUBLIC,
  TpmClient,
  TpmError,
} from '../../tpm/index.ts';
import { inProcessTransport, SoftwareTpm } from './index.ts';

const NONE = new Uint8Array(0);

function started(): { tpm: SoftwareTpm; client: TpmClient } {
  const tpm = SoftwareTpm.manufacture();
  tpm.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
  return { tpm, client: new TpmClient(inProcessTransport(tpm, 'a test')) };
}

const rcOf = (response: Uint8Array): number => Buffer.from(response).readUInt32BE(6);
const refusedWith = (rc: number) => (error: unknown) =>
  error instanceof TpmError && error.rc === rc ? true : assert.fail(`${error}, not ${describeResponseCode(rc)}`);

const STORAGE_KEY = EK_PROFILES.p256.template;
const PRIMARY = { inSensitive: { userAuth: NONE, data: NONE }, outsideInfo: NONE, creationPCR: [] } as const;
const SRK: TPMT_PUBLIC = {
  ...STORAGE_KEY,
  objectAttributes: { ...STORAGE_KEY.objectAttributes, adminWithPolicy: false, userWithAuth: true, noDA: true },
  authPolicy: NONE,
};

const createStorageKey = (client: TpmClient) =>
  client.execute(TPM2_CreatePrimary, { primaryHandle: TPM_RH.OWNER, inPublic: SRK, ...PRIMARY });

test('only Startup works before Startup, and Startup only once', () => {
  const tpm = SoftwareTpm.manufacture();
  const startup = marshalCommand(TPM2_Startup, { startupType: 'clear' });
  assert.equal(rcOf(tpm.execute(marshalCommand(TPM2_GetRandom, { bytesRequested: 8 }))), TPM_RC.INITIALIZE);
  assert.equal(rcOf(tpm.execute(startup)), TPM_RC.SUCCESS);
  assert.equal(rcOf(tpm.execute(startup)), TPM_RC.INITIALIZE);
});

test('the same seed and template give the same primary key, after a restart too, and another TPM gives another', async () => {
  const { tpm, client } = started();
  const first = await createStorageKey(client);
  await client.execute(TPM2_FlushContext, { flushHandle: first.objectHandle });
  const again = await createStorageKey(client);
  assert.deepEqual(first.outPublic, again.outPublic);

  const restored = SoftwareTpm.restore(tpm.save());
  restored.powerOn();
  restored.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
  const later = await createStorageKey(new TpmClient(inProcessTransport(restored, 'restored')));
  assert.deepEqual(later.outPublic, first.outPublic);
  assert.deepEqual(later.name, objectName(first.outPublic));

  const other = await createStorageKey(started().client);
  assert.notDeepEqual(other.outPublic, first.outPublic);
});

test('an RSA-2048 primary key is a key of 2048 bits that repeats', async () => {
  const { client } = started();
  const ask = { primaryHandle: TPM_RH.ENDORSEMENT, inPublic: EK_PROFILES.rsa2048.template, ...PRIMARY };
  const [first, second] = [
    await client.execute(TPM2_CreatePrimary, ask),
    await client.execute(TPM2_CreatePrimary, ask),
  ];
  assert.equal(first.outPublic.type, 'rsa');
  assert.ok(first.outPublic.type === 'rsa' && (first.outPublic.unique[0] ?? 0) >= 0x80);
  assert.deepEqual(first.outPublic, second.outPublic);
});

test('PolicySecret of the endorsement hierarchy gives PolicyA of the EK Credential Profile', async () => {
  const { client } = started();
  const session = await Session.start(client, { type: 'policy' });
  await client.execute(TPM2_PolicySecret, {
    authHandle: TPM_RH.ENDORSEMENT,
    policySession: session.handle,
    nonceTPM: NONE,
    cpHashA: NONE,
    policyRef: NONE,
    expiration: 0,
  });
  const { policyDigest } = await client.execute(TPM2_PolicyGetDigest, { policySession: session.handle });
  // TCG EK Credential Profile 2.5, B.6.2
  assert.equal(toHex(policyDigest), '837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa');
});

const SEALED: TPMT_PUBLIC = {
  type: 'keyedhash',
  nameAlg: 'sha256',
  objectAttributes: { fixedTPM: true, fixedParent: true },
  authPolicy: NONE,
  parameters: { scheme: { scheme: 'null' } },
  unique: NONE,
};

test('a secret sealed to a PCR is given while the PCR has its value, in a salted session with both ways encrypted', async () => {
  const { client } = started();
  const parent = await createStorageKey(client);
  const pcrs = [{ hash: 'sha256', pcrs: [16] }] as const;
  const trial = await Session.start(client, { type: 'trial' });
  await client.execute(TPM2_PolicyPCR, { policySession: trial.handle, pcrDigest: NONE, pcrs });
  const { policyDigest } = await client.execute(TPM2_PolicyGetDigest, { policySession: trial.handle });
  await trial.flush(client);

  const salt = { handle: parent.objectHandle, area: parent.outPublic };
  const cipher = await Session.start(client, { type: 'hmac', symmetric: AES_128_CFB, salt });
  cipher.attributes = { continueSession: true, decrypt: true, encrypt: true };
  const secret = Buffer.from('what nobody may see');
  const created = await client.execute(
    TPM2_Create,
    {
      parentHandle: parent.objectHandle,
      ...PRIMARY,
      inSensitive: { userAuth: NONE, data: secret },
      inPublic: { ...SEALED, authPolicy: policyDigest },
    },
    { also: [cipher] },
  );
  const { outPrivate: inPrivate, outPublic: inPublic } = created;
  const { objectHandle } = await client.execute(TPM2_Load, { parentHandle: parent.objectHandle, inPrivate, inPublic });

  const unseal = async (): Promise<Uint8Array> => {
    const policy = await Session.start(client, { type: 'policy' });
    try {
      await client.execute(TPM2_PolicyPCR, { policySession: policy.handle, pcrDigest: NONE, pcrs });
      cipher.attributes = { continueSession: true, encrypt: true };
      const auth = { itemHandle: { session: policy } };
      return (await client.execute(TPM2_Unseal, { itemHandle: objectHandle }, { auth, also: [cipher] })).outData;
    } finally {
      await policy.flush(client);
    }
  };
  assert.deepEqual(Buffer.from(await unseal()), secret);
  const digests = [{ hashAlg: 'sha256', digest: Buffer.alloc(32, 1) }] as const;
  await client.execute(TPM2_PCR_Extend, { pcrHandle: 0, digests });
  assert.deepEqual(Buffer.from(await unseal()), secret, 'another PCR does not matter');
  await client.execute(TPM2_PCR_Extend, { pcrHandle: 16, digests });
  await assert.rejects(unseal, refusedWith(TPM_RC.POLICY_FAIL + 0x900));
});

test('a symmetric key is a parent, with its mode left open as tpm2_createprimary -G aes does', async () => {
  const { client } = started();
  const inPublic = {
    type: 'symcipher',
    nameAlg: 'sha256',
    objectAttributes: {
      fixedTPM: true,
      fixedParent: true,
      sensitiveDataOrigin: true,
      userWithAuth: true,
      restricted: true,
      decrypt: true,
    },
    authPolicy: new Uint8Array(0),
    parameters: { sym: { algorithm: 'aes', keyBits: 128, mode: 'null' } },
    unique: new Uint8Array(0),
  } as const;
  const parent = await client.execute(TPM2_CreatePrimary, { primaryHandle: TPM_RH.OWNER, inPublic, ...PRIMARY });
  const child = await client.execute(TPM2_Create, { parentHandle: parent.objectHandle, inPublic, ...PRIMARY });
  const { outPrivate: inPrivate, outPublic } = child;
  await client.execute(TPM2_Load, { parentHandle: parent.objectHandle, inPrivate, inPublic: outPublic });
});

test('an extend is H(old ‖ digest) in each bank, and only the debug and application PCRs reset at locality 0', async () => {
  const { tpm, client } = started();
  const value = Buffer.alloc(48, 7);
  await client.execute(TPM2_PCR_Extend, { pcrHandle: 10, digests: [{ hashAlg: 'sha384', digest: value }] });
  const { pcrValues } = await client.execute(TPM2_PCR_Read, { pcrSelectionIn: [{ hash: 'sha384', pcrs: [10] }] });
  assert.deepEqual(Buffer.from(pcrValues[0] ?? NONE), digest('sha384', Buffer.alloc(48), value));
  await client.execute(TPM2_PCR_Reset, { pcrHandle: 23 });
  await assert.rejects(client.execute(TPM2_PCR_Reset, { pcrHandle: 10 }), refusedWith(TPM_RC.LOCALITY));
  const extend18 = marshalCommand(TPM2_PCR_Extend, { pcrHandle: 18, digests: [] }, [
    { sessionHandle: TPM_RH.PW, nonce: NONE, sessionAttributes: { continueSession: true }, hmac: NONE },
  ]);
  assert.equal(rcOf(tpm.execute(extend18, 0)), TPM_RC.LOCALITY);
  assert.equal(rcOf(tpm.execute(extend18, 2)), TPM_RC.SUCCESS);
});

test('counters: a reset counts, Shutdown(STATE) and Startup(STATE) keep the PCRs and count a restart', async () => {
  const { tpm, client } = started();
  await client.execute(TPM2_PCR_Extend, {
    pcrHandle: 7,
    digests: [{ hashAlg: 'sha256', digest: Buffer.alloc(32, 9) }],
  });
  const read = async () =>
    (await client.execute(TPM2_PCR_Read, { pcrSelectionIn: [{ hash: 'sha256', pcrs: [7] }] })).pcrValues;
  const before = await read();
  await client.execute(TPM2_Shutdown, { shutdownType: 'state' });
  tpm.powerOn();
  await client.execute(TPM2_Startup, { startupType: 'state' });
  assert.deepEqual(await read(), before);
  const resumed = (await client.execute(TPM2_ReadClock, {})).currentTime.clockInfo;
  assert.deepEqual([resumed.resetCount, resumed.restartCount, resumed.safe], [1, 1, true]);

  tpm.powerOn();
  assert.equal(rcOf(tpm.execute(marshalCommand(TPM2_Startup, { startupType: 'state' }))), TPM_RC.VALUE + 0x140);
  await client.execute(TPM2_Startup, { startupType: 'clear' });
  const reset = (await client.execute(TPM2_ReadClock, {})).currentTime.clockInfo;
  assert.deepEqual([reset.resetCount, reset.restartCount, reset.safe], [2, 0, false]);
  assert.deepEqual(await read(), [new Uint8Array(32)]);
});

test('a session bound to the owner carries its authorization, also through the change of it', async () => {
  const { client } = started();
  const first = Buffer.from('first');
  await client.execute(TPM2_HierarchyChangeAuth, { authHandle: TPM_RH.OWNER, newAuth: first });
  await assert.rejects(createStorageKey(client), refusedWith(TPM_RC.BAD_AUTH + 0x900));
  const session = await Session.start(client, { type: 'hmac' });
  const auth = { authHandle: { session, authValue: first } };
  // The response is authorized by the new value, which TpmClient does not know: the TPM answers, the check refuses
  const change = client.execute(TPM2_HierarchyChangeAuth, { authHandle: TPM_RH.OWNER, newAuth: NONE }, { auth });
  await assert.rejects(change, (error: unknown) => error instanceof TpmError && error.code === 'tpm.session');
  await createStorageKey(client);
});

test('wrong authorizations of a protected object lock the TPM out, and time heals it', async () => {
  let now = 0;
  const tpm = SoftwareTpm.manufacture({ now: () => now });
  tpm.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
  const client = new TpmClient(inProcessTransport(tpm, 'a test'));
  const attributes = { authread: true, authwrite: true };
  const publicInfo = { nvIndex: 0x01000001, nameAlg: 'sha256', attributes, authPolicy: NONE, dataSize: 4 } as const;
  await client.execute(TPM2_NV_DefineSpace, { authHandle: TPM_RH.OWNER, auth: Buffer.from('right'), publicInfo });
  const read = (password: string) =>
    client.execute(
      TPM2_NV_Read,
      { authHandle: 0x01000001, nvIndex: 0x01000001, size: 4, offset: 0 },
      { auth: { authHandle: { password: Buffer.from(password) } } },
    );
  for (let i = 0; i < 3; i++) await assert.rejects(read('wrong'), refusedWith(TPM_RC.AUTH_FAIL + 0x900));
  await assert.rejects(read('right'), refusedWith(TPM_RC.LOCKOUT));
  now += 1_000_000;
  await assert.rejects(read('right'), refusedWith(TPM_RC.NV_UNINITIALIZED));
});

test('a saved context loads until the TPM is reset, and a changed one never', async () => {
  const { tpm, client } = started();
  const { objectHandle } = await createStorageKey(client);
  const { context } = await client.execute(TPM2_ContextSave, { saveHandle: objectHandle });
  await client.execute(TPM2_ContextLoad, { context });
  const contextBlob = Uint8Array.from(context.contextBlob);
  contextBlob[100] = (contextBlob[100] ?? 0) ^ 1;
  await assert.rejects(
    client.execute(TPM2_ContextLoad, { context: { ...context, contextBlob } }),
    refusedWith(TPM_RC.INTEGRITY + 0x140),
  );
  tpm.powerOn();
  await client.execute(TPM2_Startup, { startupType: 'clear' });
  await assert.rejects(client.execute(TPM2_ContextLoad, { context }), refusedWith(TPM_RC.INTEGRITY + 0x140));
});

test('refusals name the handle, parameter or session at fault', () => {
  const { tpm } = started();
  const answer = (hex: string): string =>
    describeResponseCode(rcOf(tpm.execute(Buffer.from(hex, 'hex')))).replace(/:.*/, '');
  assert.equal(answer(''), 'TPM_RC_COMMAND_SIZE (0x142)');
  assert.equal(answer('80030000000a00000144'), 'TPM_RC_BAD_TAG (0x1e)');
  assert.equal(answer('80010000000a0000ffff'), 'TPM_RC_COMMAND_CODE (0x143)');
  assert.equal(answer('80010000000e0000017380000000'), 'TPM_RC_REFERENCE_H0 (0x910)');
  assert.equal(answer('80010000000e0000017381000000'), 'TPM_RC_HANDLE (0x18b), handle 1');
  assert.equal(answer('80010000000e0000017301000000'), 'TPM_RC_VALUE (0x184), handle 1');
  assert.equal(answer('80010000000e0000013d00000010'), 'TPM_RC_AUTH_MISSING (0x125)');
});

/** Commands that do much, to be mutated. */
function seeds(): readonly Uint8Array[] {
  const password = [
    { sessionHandle: TPM_RH.PW, nonce: NONE, sessionAttributes: { continueSession: true }, hmac: NONE },
  ];
  return [
    marshalCommand(TPM2_CreatePrimary, { primaryHandle: TPM_RH.OWNER, inPublic: SRK, ...PRIMARY }, password),
    marshalCommand(
      TPM2_Create,
      { parentHandle: 0x80000000, ...PRIMARY, inSensitive: { userAuth: NONE, data: handleName(1) }, inPublic: SEALED },
      password,
    ),
    marshalCommand(
      TPM2_PCR_Extend,
      { pcrHandle: 16, digests: [{ hashAlg: 'sha256', digest: Buffer.alloc(32) }] },
      password,
    ),
    ...Object.values(COMMANDS).map(({ code }) =>
      Buffer.from(`80010000000a${code.toString(16).padStart(8, '0')}`, 'hex'),
    ),
  ];
}

test('any bytes get a response, and no defect of ours answers', () => {
  const { tpm } = started();
  tpm.execute(seeds()[0] ?? NONE);
  const mutation = fc.record({
    seed: fc.constantFrom(...seeds()),
    changes: fc.array(fc.record({ at: fc.nat(400), to: fc.integer({ min: 0, max: 255 }) }), { maxLength: 4 }),
    tail: fc.uint8Array({ maxLength: 60 }),
    fixSize: fc.boolean(),
  });
  fc.assert(
    fc.property(mutation, ({ seed, changes, tail, fixSize }) => {
      const bytes = Buffer.concat([seed, tail]);
      for (const { at, to } of changes) bytes[at % bytes.length] = to;
      if (fixSize) bytes.writeUInt32BE(bytes.length, 2);
      const response = Buffer.from(tpm.execute(bytes));
      assert.equal(response.readUInt32BE(2), response.length);
      assert.notEqual(rcOf(response), TPM_RC.FAILURE, `${commandName(bytes.readUInt32BE(6))} ${bytes.toString('hex')}`);
      tpm.releaseHandles();
    }),
    { numRuns: 300 },
  );
});
