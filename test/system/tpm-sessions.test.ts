/** The client's sessions: with swtpm, which knows nothing of how we compute them, and so with our own software TPM. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { digest } from '../../src/bytes/index.ts';
import * as t from '../../src/tpm/index.ts';
import { SoftwareTpm } from '../../src/vtpm/index.ts';
import { runSwtpm } from '../fixtures/running-swtpm.ts';
import { requires } from './requirements.ts';

const NONE = new Uint8Array(0);
const PASSWORD = Buffer.from('pass\0word\0\0'); // with trailing zeros, which authorization values lose
const SECRET = Buffer.from('sealed secret');
const { OWNER, NULL, ENDORSEMENT } = t.TPM_RH;
const KEEP = { continueSession: true } as const;

const SEALED: t.TPMT_PUBLIC = {
  type: 'keyedhash',
  nameAlg: 'sha256',
  objectAttributes: { fixedTPM: true, fixedParent: true, userWithAuth: true, noDA: true },
  authPolicy: NONE,
  parameters: { scheme: { scheme: 'null' } },
  unique: NONE,
};

interface Wire {
  execute(command: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

async function swtpmWire(): Promise<Wire> {
  const running = await runSwtpm();
  const transport = await running.transport();
  const close = async () => {
    await transport.close();
    await running[Symbol.asyncDispose]();
  };
  return { execute: (command) => transport.execute(command), close };
}

async function softwareWire(): Promise<Wire> {
  const software = SoftwareTpm.manufacture();
  software.execute(t.marshalCommand(t.TPM2_Startup, { startupType: 'clear' }));
  return { execute: async (command) => software.execute(command), close: async () => {} };
}

describe('sessions with swtpm', requires('swtpm'), () => holdSessions(swtpmWire));
describe('sessions with the software TPM', () => holdSessions(softwareWire));

function holdSessions(openWire: () => Promise<Wire>): void {
  let tpm: t.TpmClient;
  /** Somebody between the TPM and us. swtpm serves one connection at a time, so that he sits in the only one. */
  let between = (response: Uint8Array): Uint8Array => response;
  const nobody = between;
  const parents: Record<'rsa2048' | 'p256', t.LoadedKey | undefined> = { rsa2048: undefined, p256: undefined };

  before(async () => {
    const wire = await openWire();
    const execute = async (command: Uint8Array) => between(await wire.execute(command));
    tpm = new t.TpmClient({ description: 'a TPM behind somebody', execute, close: () => wire.close() });
  });
  after(() => tpm.close());
  /** What a failed test leaves in the TPM's three places would fail the next ones. */
  afterEach(async () => {
    between = nobody;
    for (const first of [0x02000000, 0x03000000, 0x80000000]) {
      const asked = { capability: 'handles', property: first, propertyCount: 16 } as const;
      const { capabilityData } = await tpm.execute(t.TPM2_GetCapability, asked);
      if (capabilityData.capability === 'handles') for (const handle of capabilityData.data) await flush(handle);
    }
  });

  /** A storage key whose authorization value is PASSWORD. */
  async function parentOf(kind: 'rsa2048' | 'p256'): Promise<t.LoadedKey> {
    const known = parents[kind];
    if (known !== undefined) return known;
    const { template } = t.EK_PROFILES[kind];
    const objectAttributes = { ...template.objectAttributes, adminWithPolicy: false, userWithAuth: true, noDA: true };
    const inPublic = { ...template, objectAttributes, authPolicy: NONE };
    const { objectHandle, outPublic, name } = await tpm.execute(t.TPM2_CreatePrimary, {
      primaryHandle: OWNER,
      inSensitive: { userAuth: PASSWORD, data: NONE },
      inPublic,
      outsideInfo: NONE,
      creationPCR: [],
    });
    const persistentHandle = kind === 'p256' ? 0x81000010 : 0x81000011;
    await tpm.execute(t.TPM2_EvictControl, { auth: OWNER, objectHandle, persistentHandle });
    await tpm.execute(t.TPM2_FlushContext, { flushHandle: objectHandle });
    const key = { handle: persistentHandle, area: outPublic, name, release: async () => {} };
    parents[kind] = key;
    return key;
  }

  async function seal(by: t.HandleAuthorization, parent: t.LoadedKey, area = SEALED, userAuth: Uint8Array = PASSWORD) {
    const inSensitive = { userAuth, data: SECRET };
    const request = { parentHandle: parent.handle, inSensitive, inPublic: area, outsideInfo: NONE, creationPCR: [] };
    const { outPrivate, outPublic } = await tpm.execute(t.TPM2_Create, request, { auth: { parentHandle: by } });
    return { inPrivate: outPrivate, inPublic: outPublic };
  }

  async function sealAndLoad(area = SEALED, userAuth: Uint8Array = PASSWORD): Promise<number> {
    const parent = await parentOf('p256');
    const password = { password: PASSWORD };
    const made = await seal(password, parent, area, userAuth);
    const loading = { parentHandle: parent.handle, ...made };
    return (await tpm.execute(t.TPM2_Load, loading, { auth: { parentHandle: password } })).objectHandle;
  }

  const flush = (flushHandle: number) => tpm.execute(t.TPM2_FlushContext, { flushHandle });
  const isRc = (name: Parameters<typeof t.isResponseCode>[1]) => (error: unknown) =>
    error instanceof t.TpmError && error.rc !== undefined && t.isResponseCode(error.rc, name);

  const isSessionError = (error: unknown) => error instanceof t.TpmError && error.code === 'tpm.session';

  const XOR = { algorithm: 'xor', hashAlg: 'sha256' } as const satisfies t.TPMT_SYM_DEF;
  const AES_256 = { algorithm: 'aes', keyBits: 256, mode: 'cfb' } as const satisfies t.TPMT_SYM_DEF;
  const CIPHERS = [t.AES_128_CFB, AES_256, XOR] as const;

  for (const kind of ['rsa2048', 'p256'] as const) {
    for (const mode of ['neither', 'salted', 'bound', 'salted and bound'] as const) {
      for (const symmetric of CIPHERS) {
        const title = `an HMAC session ${mode}, ${kind}, encrypts both ways with ${symmetric.algorithm}`;
        test(title + ('keyBits' in symmetric ? symmetric.keyBits : ''), async () => {
          const parent = await parentOf(kind);
          const session = await t.Session.start(tpm, {
            type: 'hmac',
            symmetric,
            authHash: kind === 'p256' ? 'sha384' : 'sha256',
            ...(mode.includes('salted') ? { salt: parent } : {}),
            ...(mode.includes('bound') ? { bind: { handle: parent.handle, auth: PASSWORD } } : {}),
          });
          session.attributes = { ...KEEP, decrypt: true, encrypt: true };
          const by = { session, authValue: PASSWORD };
          const made = await seal(by, parent);
          session.attributes = KEEP;
          const loading = { parentHandle: parent.handle, ...made };
          const { objectHandle: itemHandle } = await tpm.execute(t.TPM2_Load, loading, { auth: { parentHandle: by } });
          // beside a password, only to encrypt: no entity's value is in its key
          session.attributes = { ...KEEP, encrypt: true };
          const also = { auth: { itemHandle: { password: PASSWORD } }, also: [session] };
          assert.deepEqual(Buffer.from((await tpm.execute(t.TPM2_Unseal, { itemHandle }, also)).outData), SECRET);
          // for another entity than the one it may be bound to
          const direct = await tpm.execute(t.TPM2_Unseal, { itemHandle }, { auth: { itemHandle: by } });
          assert.deepEqual(Buffer.from(direct.outData), SECRET);
          await flush(itemHandle);
          await session.flush(tpm);
        });
      }
    }
  }

  test('a bound session needs no value for what it is bound to, to authorize and to encrypt', async () => {
    const parent = await parentOf('p256');
    const bind = { handle: parent.handle, auth: PASSWORD };
    const session = await t.Session.start(tpm, { type: 'hmac', symmetric: t.AES_128_CFB, bind });
    session.attributes = { ...KEEP, decrypt: true, encrypt: true };
    await seal({ session }, parent);
    await session.flush(tpm);
  });

  test('a session is bound to an object, not to its handle', async () => {
    const first = await sealAndLoad();
    const session = await t.Session.start(tpm, { type: 'hmac', bind: { handle: first, auth: PASSWORD } });
    await flush(first);
    const second = await sealAndLoad(SEALED, Buffer.from('another'));
    assert.equal(second, first);
    const by = { session, authValue: Buffer.from('another') };
    await tpm.execute(t.TPM2_Unseal, { itemHandle: second }, { auth: { itemHandle: by } });
    await flush(second);
    await session.flush(tpm);
  });

  test('XOR obfuscation with another hash than the session’s', async () => {
    const parent = await parentOf('p256');
    const symmetric = { algorithm: 'xor', hashAlg: 'sha384' } as const;
    const session = await t.Session.start(tpm, { type: 'hmac', authHash: 'sha256', symmetric, salt: parent });
    session.attributes = { ...KEEP, decrypt: true, encrypt: true };
    const made = await seal({ session, authValue: PASSWORD }, parent);
    const loading = { parentHandle: parent.handle, ...made };
    session.attributes = KEEP;
    const auth = { parentHandle: { session, authValue: PASSWORD } };
    const { objectHandle: itemHandle } = await tpm.execute(t.TPM2_Load, loading, { auth });
    const opened = await tpm.execute(t.TPM2_Unseal, { itemHandle }, { auth: { itemHandle: { password: PASSWORD } } });
    assert.deepEqual(Buffer.from(opened.outData), SECRET);
    await flush(itemHandle);
    await session.flush(tpm);
  });

  test('three sessions in one command: one authorizes, one decrypts, one encrypts', async () => {
    const parent = await parentOf('p256');
    const start = async (attributes: t.TPMA_SESSION) => {
      const session = await t.Session.start(tpm, { type: 'hmac', symmetric: t.AES_128_CFB, salt: parent });
      session.attributes = { ...KEEP, ...attributes };
      return session;
    };
    const [authorizing, decrypting, encrypting] = [
      await start({}),
      await start({ decrypt: true }),
      await start({ encrypt: true }),
    ];
    const inSensitive = { userAuth: PASSWORD, data: SECRET };
    const request = { parentHandle: parent.handle, inSensitive, inPublic: SEALED, outsideInfo: NONE, creationPCR: [] };
    const auth = { parentHandle: { session: authorizing, authValue: PASSWORD } };
    for (const also of [
      [decrypting, encrypting],
      [encrypting, decrypting],
    ]) {
      await tpm.execute(t.TPM2_Create, request, { auth, also });
    }
    // no handle to authorize: the first HMAC then takes in no other session's nonce
    const hashed = { data: SECRET, hashAlg: 'sha256', hierarchy: NULL } as const;
    const { outHash } = await tpm.execute(t.TPM2_Hash, hashed, { also: [decrypting, encrypting] });
    assert.deepEqual(Buffer.from(outHash), digest('sha256', SECRET));
    for (const session of [authorizing, decrypting, encrypting]) await session.flush(tpm);
  });

  test('a command whose first parameter is no buffer is not sent to be decrypted', async () => {
    const session = await t.Session.start(tpm, { type: 'hmac', symmetric: t.AES_128_CFB });
    session.attributes = { ...KEEP, decrypt: true };
    const isArgument = (error: unknown) => error instanceof t.TpmError && error.code === 'tpm.argument';
    await assert.rejects(tpm.execute(t.TPM2_GetRandom, { bytesRequested: 4 }, { also: [session] }), isArgument);
    session.attributes = { ...KEEP, audit: true };
    await tpm.execute(t.TPM2_GetRandom, { bytesRequested: 4 }, { also: [session] });
    await session.flush(tpm);
  });

  test('a command that changes the value it was authorized with answers under the new one', async () => {
    const next = Buffer.from('next owner');
    for (const bind of [undefined, { handle: OWNER, auth: NONE }]) {
      const session = await t.Session.start(tpm, { type: 'hmac', symmetric: t.AES_128_CFB, ...(bind ? { bind } : {}) });
      session.attributes = { ...KEEP, decrypt: true };
      const change = (newAuth: Uint8Array, authValue: Uint8Array) =>
        tpm.execute(
          t.TPM2_HierarchyChangeAuth,
          { authHandle: OWNER, newAuth },
          { auth: { authHandle: { session, authValue, authValueAfter: newAuth } } },
        );
      await change(next, NONE);
      await change(NONE, next);
      await session.flush(tpm);
    }
  });

  test('a wrong value is refused by the TPM, and the session goes on', async () => {
    const itemHandle = await sealAndLoad();
    const session = await t.Session.start(tpm, { type: 'hmac' });
    const wrong = { auth: { itemHandle: { session, authValue: Buffer.from('wrong') } } };
    await assert.rejects(tpm.execute(t.TPM2_Unseal, { itemHandle }, wrong), isRc('BAD_AUTH'));
    const right = { auth: { itemHandle: { session, authValue: PASSWORD } } };
    assert.deepEqual(Buffer.from((await tpm.execute(t.TPM2_Unseal, { itemHandle }, right)).outData), SECRET);
    await flush(itemHandle);
    await session.flush(tpm);
  });

  describe('policies', () => {
    const policyOf = async (assert: (session: t.Session) => Promise<unknown>): Promise<Uint8Array> => {
      const trial = await t.Session.start(tpm, { type: 'trial' });
      await assert(trial);
      const { policyDigest } = await tpm.execute(t.TPM2_PolicyGetDigest, { policySession: trial.handle });
      await trial.flush(tpm);
      return policyDigest;
    };
    const underPolicy = (authPolicy: Uint8Array): t.TPMT_PUBLIC => ({
      ...SEALED,
      objectAttributes: { fixedTPM: true, fixedParent: true, noDA: true },
      authPolicy,
    });
    const selection: t.TPML_PCR_SELECTION = [{ hash: 'sha256', pcrs: [16, 23] }];
    const policyPcr = ({ handle }: t.Session) =>
      tpm.execute(t.TPM2_PolicyPCR, { policySession: handle, pcrDigest: NONE, pcrs: selection });

    for (const salted of [false, true]) {
      test(`PolicyPCR unseals until the PCR changes${salted ? '; salted and encrypted' : ''}`, async () => {
        const itemHandle = await sealAndLoad(underPolicy(await policyOf(policyPcr)));
        const options = salted ? { salt: await parentOf('rsa2048'), symmetric: t.AES_128_CFB } : {};
        const session = await t.Session.start(tpm, { type: 'policy', ...options });
        if (salted) session.attributes = { ...KEEP, encrypt: true };
        const unseal = () =>
          tpm.execute(t.TPM2_Unseal, { itemHandle }, { auth: { itemHandle: { session, authValue: PASSWORD } } });
        await policyPcr(session);
        assert.deepEqual(Buffer.from((await unseal()).outData), SECRET);
        await t.extendPcr(tpm, 23, [{ hashAlg: 'sha256', digest: Buffer.alloc(32, 1) }]);
        await policyPcr(session);
        await assert.rejects(unseal(), isRc('POLICY_FAIL'));
        await flush(itemHandle);
        await session.flush(tpm);
      });
    }

    for (const [name, command, kind] of [
      ['PolicyAuthValue', t.TPM2_PolicyAuthValue, 'value'],
      ['PolicyPassword', t.TPM2_PolicyPassword, 'password'],
    ] as const) {
      for (const salted of [false, true]) {
        test(`${name} takes the object's value${salted ? '; salted and encrypted' : ''}`, async () => {
          const step = ({ handle }: t.Session) => tpm.execute(command, { policySession: handle });
          const itemHandle = await sealAndLoad(underPolicy(await policyOf(step)));
          const options = salted ? { salt: await parentOf('p256'), symmetric: t.AES_128_CFB } : {};
          const session = await t.Session.start(tpm, { type: 'policy', ...options });
          if (salted) session.attributes = { ...KEEP, encrypt: true };
          session.policyAuth = kind;
          const unseal = (authValue: Uint8Array) =>
            tpm.execute(t.TPM2_Unseal, { itemHandle }, { auth: { itemHandle: { session, authValue } } });
          await step(session);
          assert.deepEqual(Buffer.from((await unseal(PASSWORD)).outData), SECRET);
          await step(session);
          await assert.rejects(unseal(Buffer.from('wrong')), isRc('BAD_AUTH'));
          await flush(itemHandle);
          await session.flush(tpm);
        });
      }
    }

    test('PolicySecret, itself authorized by a session', async () => {
      const by = await t.Session.start(tpm, { type: 'hmac' });
      const step = ({ handle }: t.Session) =>
        tpm.execute(
          t.TPM2_PolicySecret,
          {
            authHandle: ENDORSEMENT,
            policySession: handle,
            nonceTPM: NONE,
            cpHashA: NONE,
            policyRef: NONE,
            expiration: 0,
          },
          { auth: { authHandle: { session: by } } },
        );
      const itemHandle = await sealAndLoad(underPolicy(await policyOf(step)));
      const session = await t.Session.start(tpm, { type: 'policy' });
      await step(session);
      const auth = { itemHandle: { session } };
      assert.deepEqual(Buffer.from((await tpm.execute(t.TPM2_Unseal, { itemHandle }, { auth })).outData), SECRET);
      await flush(itemHandle);
      for (const each of [session, by]) await each.flush(tpm);
    });
  });

  test('a bit flipped in a response is found, wherever it is', async () => {
    const salt = await parentOf('p256');
    // header 10, parameterSize 4, then the buffer's content, the session's nonce, attributes and HMAC
    const contentAt = 10 + 4 + 2;
    const nonceAt = contentAt + 16 + 2;
    const hmacAt = nonceAt + 32 + 1 + 2;
    for (const at of [contentAt, contentAt + 15, nonceAt, nonceAt + 32, hmacAt, hmacAt + 31]) {
      const session = await t.Session.start(tpm, { type: 'hmac', salt });
      session.attributes = { ...KEEP, audit: true };
      const ask = () => tpm.execute(t.TPM2_GetRandom, { bytesRequested: 16 }, { also: [session] });
      await ask();
      between = (response) => response.map((byte, i) => (i === at ? byte ^ 0x20 : byte));
      await assert.rejects(ask(), isSessionError, `byte ${at}`);
      between = nobody;
      await session.flush(tpm);
    }
  });

  test('a response without its sessions is not believed', async () => {
    const session = await t.Session.start(tpm, { type: 'hmac' });
    session.attributes = { ...KEEP, audit: true };
    between = (response) => t.assembleResponse(t.splitResponse(t.TPM2_GetRandom, response));
    await assert.rejects(tpm.execute(t.TPM2_GetRandom, { bytesRequested: 16 }, { also: [session] }), isSessionError);
  });

  test('an endorsement session does not stay in the TPM when its command fails', async () => {
    const ek = await t.loadEndorsementKey(tpm, t.EK_PROFILES.p256);
    const ak = await t.loadAttestationKey(tpm, ek, await t.createAttestationKey(tpm, ek));
    const foreign = t.makeCredential(ek.area, Buffer.concat([Buffer.from('000b', 'hex'), Buffer.alloc(32)]), SECRET);
    // swtpm has three places for loaded sessions
    for (let i = 0; i < 5; i++) await assert.rejects(t.activateCredential(tpm, ek, ak, foreign), isRc('INTEGRITY'));
    const right = t.makeCredential(ek.area, ak.name, SECRET);
    assert.deepEqual(Buffer.from(await t.activateCredential(tpm, ek, ak, right)), SECRET);
    await ak.release();
    await ek.release();
  });
}
