/** Trusted keys with swtpm and with our software TPM, and tpm2-tools as the other side of each. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { digest } from '../../src/bytes/index.ts';
import {
  encodeTrustedBlob,
  KeyError,
  lockPcr,
  newPayload,
  parseSignedPolicies,
  parseTrustedBlob,
  policyKeyArea,
  type SealRequest,
  sealTrustedKey,
  type TrustedBlob,
  type UnsealRequest,
  unsealTrustedKey,
} from '../../src/keys/index.ts';
import * as t from '../../src/tpm/index.ts';
import { SoftwareTpm } from '../../src/vtpm/index.ts';
import { type RunningSwtpm, runSwtpm } from '../fixtures/running-swtpm.ts';
import { keepStorageKey } from '../fixtures/storage-key.ts';
import { requires } from './requirements.ts';

const PARENT = 0x81000001;
const NONE = new Uint8Array(0);

interface OpenedTpm {
  readonly tpm: t.TpmClient;
  close(): Promise<void>;
}

async function swtpm(): Promise<OpenedTpm> {
  const running = await runSwtpm();
  return { tpm: await running.client(), close: async () => running[Symbol.asyncDispose]() };
}

async function software(): Promise<OpenedTpm> {
  const machine = SoftwareTpm.manufacture();
  machine.execute(t.marshalCommand(t.TPM2_Startup, { startupType: 'clear' }));
  const execute = async (command: Uint8Array) => machine.execute(command);
  const tpm = new t.TpmClient({ description: 'software', execute, close: async () => {} });
  return { tpm, close: () => tpm.close() };
}

describe('trusted keys with swtpm', requires('swtpm'), () => holds(swtpm));
describe('trusted keys with the software TPM', () => holds(software));

function holds(open: () => Promise<OpenedTpm>): void {
  let opened: OpenedTpm;
  let tpm: t.TpmClient;
  before(async () => {
    opened = await open();
    tpm = opened.tpm;
    await keepStorageKey(tpm, PARENT);
  });
  after(() => opened.close());

  const seal = (request: Partial<SealRequest> = {}) =>
    sealTrustedKey(tpm, { payload: randomBytes(32), parent: PARENT, ...request });
  const extend = (pcr: number) => t.extendPcr(tpm, pcr, [{ hashAlg: 'sha256', digest: randomBytes(32) }]);
  const pcrPolicy = async (...pcrs: number[]): Promise<t.Policy> => [
    { kind: 'pcr', values: await t.currentValues(tpm, [{ hash: 'sha256', pcrs }]) },
  ];

  for (const size of [32, 64, 128]) {
    test(`${size} bytes come out as they went in`, async () => {
      const payload = await newPayload(tpm, size);
      const blob = parseTrustedBlob(encodeTrustedBlob(await seal({ payload })));
      const unsealed = await unsealTrustedKey(tpm, blob);
      assert.deepEqual([Buffer.from(unsealed.payload), unsealed.migratable], [Buffer.from(payload), false]);
    });
  }

  test('payloads that the kernel refuses are refused', async () => {
    for (const size of [31, 129]) await assert.rejects(seal({ payload: Buffer.alloc(size) }), { code: 'key.size' });
  });

  for (const hash of ['sha1', 'sha256', 'sha384', 'sha512'] as const) {
    test(`under ${hash}, movable, with an authorization value`, async () => {
      const blobAuth = Buffer.from('hello');
      const blob = await seal({ hash, migratable: true, blobAuth });
      assert.deepEqual([blob.area.nameAlg, blob.emptyAuth], [hash, false]);
      assert.equal((await unsealTrustedKey(tpm, blob, { blobAuth })).migratable, true);
      await assert.rejects(unsealTrustedKey(tpm, blob, { blobAuth: Buffer.from('hullo') }), {
        code: 'key.wrong-secret',
      });
      await clearLockout(tpm);
    });
  }

  test('a key that is sealed to PCRs opens with those values alone, and says which PCR differs', async () => {
    const policy = await pcrPolicy(7, 16);
    const payload = randomBytes(32);
    const blob = await seal({ payload, policy });
    assert.deepEqual(Buffer.from((await unsealTrustedKey(tpm, blob, { policy })).payload), payload);
    await assert.rejects(unsealTrustedKey(tpm, blob), { code: 'key.policy' });
    await extend(8);
    await unsealTrustedKey(tpm, blob, { policy });
    await extend(16);
    await assert.rejects(unsealTrustedKey(tpm, blob, { policy }), {
      code: 'key.wrong-boot-state',
      message: /^PCR 16 \(sha256\) is/,
    });
  });

  test('a description of other PCRs does not open it: the TPM decides', async () => {
    const blob = await seal({ policy: await pcrPolicy(16) });
    await assert.rejects(unsealTrustedKey(tpm, blob, { policy: await pcrPolicy(17) }), {
      code: 'key.wrong-boot-state',
    });
    await assert.rejects(unsealTrustedKey(tpm, blob, { policy: [] }), { code: 'key.wrong-boot-state' });
  });

  test('a policy session of another program opens it, with a PIN in it too', async () => {
    const pcr = await pcrPolicy(16);
    const blobAuth = Buffer.from('1234');
    for (const [policy, request] of [
      [pcr, {}],
      [[...pcr, { kind: 'auth-value' }], { blobAuth }],
    ] satisfies [t.Policy, UnsealRequest][]) {
      const payload = randomBytes(32);
      const blob = await seal({ payload, policy, ...request });
      const session = await t.Session.start(tpm, { type: 'policy', authHash: 'sha256' });
      const policyHandle = session.handle;
      await assert.rejects(unsealTrustedKey(tpm, blob, { policyHandle, ...request }), { code: 'key.wrong-boot-state' });
      await t.satisfyPolicy(tpm, session, pcr);
      // To the policy's digest the same as TPM2_PolicyAuthValue (Part 3, 23.18.1).
      if ('blobAuth' in request) await tpm.execute(t.TPM2_PolicyPassword, { policySession: policyHandle });
      const unsealed = await unsealTrustedKey(tpm, blob, { policyHandle, ...request });
      assert.deepEqual(Buffer.from(unsealed.payload), payload);
      await session.flush(tpm);
    }
  });

  test('one of several states is enough', async () => {
    const now = await pcrPolicy(16);
    const later: t.Policy = [{ kind: 'pcr', values: [{ bank: 'sha256', pcr: 16, value: Buffer.alloc(32, 9) }] }];
    const policy: t.Policy = [{ kind: 'or', branches: [later, now] }];
    const blob = await seal({ policy });
    await unsealTrustedKey(tpm, blob, { policy });
    await extend(16);
    await assert.rejects(unsealTrustedKey(tpm, blob, { policy }), { code: 'key.wrong-boot-state' });
  });

  test('a PIN is asked for beside the PCRs', async () => {
    const policy: t.Policy = [...(await pcrPolicy(16)), { kind: 'auth-value' }];
    const blobAuth = Buffer.from('1234');
    const blob = await seal({ policy, blobAuth });
    await unsealTrustedKey(tpm, blob, { policy, blobAuth });
    await assert.rejects(unsealTrustedKey(tpm, blob, { policy, blobAuth: Buffer.from('4321') }), {
      code: 'key.wrong-secret',
    });
    await clearLockout(tpm);
  });

  test('after too many wrong PINs the TPM answers none, the right one neither', async () => {
    await tpm.execute(t.TPM2_DictionaryAttackParameters, {
      lockHandle: t.TPM_RH.LOCKOUT,
      newMaxTries: 2,
      newRecoveryTime: 1000,
      lockoutRecovery: 1000,
    });
    const blobAuth = Buffer.from('1234');
    const blob = await seal({ blobAuth });
    const wrong = { blobAuth: Buffer.from('4321') };
    await assert.rejects(unsealTrustedKey(tpm, blob, wrong), { code: 'key.wrong-secret' });
    await assert.rejects(unsealTrustedKey(tpm, blob, wrong), { code: 'key.wrong-secret' });
    await assert.rejects(unsealTrustedKey(tpm, blob, { blobAuth }), { code: 'key.locked-out' });
    await clearLockout(tpm);
    await unsealTrustedKey(tpm, blob, { blobAuth });
  });

  test('what the owner of a key signs opens it, and nothing else', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = policyKeyArea(Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })));
    const step = { kind: 'authorize', key, policyRef: NONE } as const;
    const policy: t.Policy = [step];
    const blob = await seal({ policy });
    const signed = (digestOf: Buffer): string => {
      const sig = sign('sha256', digestOf, privateKey).toString('base64');
      return JSON.stringify({ sha256: [{ pcrs: [16], pkfp: '00', pol: digestOf.toString('hex'), sig }] });
    };
    const now = t.policyDigest(await pcrPolicy(16), 'sha256');
    const approving = (approved: readonly t.ApprovedPcrPolicy[]): t.Policy => [{ ...step, approved }];
    const approved = parseSignedPolicies(signed(now), step);
    await unsealTrustedKey(tpm, blob, { policy: approving(approved) });
    await assert.rejects(unsealTrustedKey(tpm, blob, { policy }), { code: 'key.policy' });
    const signature = { sigAlg: 'rsassa', hash: 'sha256', sig: Buffer.alloc(256, 1) } as const;
    const stranger = approved.map((one) => ({ ...one, signature }));
    await assert.rejects(unsealTrustedKey(tpm, blob, { policy: approving(stranger) }), { code: 'key.policy' });
    await extend(16);
    await assert.rejects(unsealTrustedKey(tpm, blob, { policy: approving(approved) }), { code: 'key.policy' });
  });

  test('a key that this TPM does not load is refused as signer, before anything is sealed to it', async () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1536 });
    const key = policyKeyArea(Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })));
    const policy: t.Policy = [{ kind: 'authorize', key, policyRef: NONE }];
    await assert.rejects(seal({ policy }), { code: 'key.option', message: /does not take the key that signs/ });
  });

  test('a storage key with an authorization value, and one that is not there', async () => {
    const keyAuth = randomBytes(20);
    await keepStorageKey(tpm, 0x81000002, keyAuth);
    const blob = await seal({ parent: 0x81000002, keyAuth });
    await unsealTrustedKey(tpm, blob, { keyAuth });
    await assert.rejects(unsealTrustedKey(tpm, blob), { code: 'key.wrong-secret' });
    await assert.rejects(seal({ parent: 0x81000099 }), { code: 'key.no-parent' });
  });

  test('a blob of another TPM', async () => {
    const other = await software();
    await keepStorageKey(other.tpm, PARENT);
    const blob = await sealTrustedKey(other.tpm, { payload: randomBytes(32), parent: PARENT });
    await other.close();
    await assert.rejects(unsealTrustedKey(tpm, blob), { code: 'key.foreign-blob' });
  });

  test('the older form, whose last byte says whether the key may be moved', async () => {
    const payload = randomBytes(32);
    const legacy = parseTrustedBlob(encodeTrustedBlob(await seal({ payload, form: 'legacy', migratable: true })));
    assert.deepEqual([legacy.form, legacy.parent], ['legacy', undefined]);
    await assert.rejects(unsealTrustedKey(tpm, legacy), { code: 'key.option' });
    const unsealed = await unsealTrustedKey(tpm, legacy, { parent: PARENT });
    assert.deepEqual([Buffer.from(unsealed.payload), unsealed.migratable], [payload, true]);
    const fixed = await seal({ payload, form: 'legacy' });
    assert.equal((await unsealTrustedKey(tpm, fixed, { parent: PARENT })).migratable, false);
    await seal({ payload: Buffer.alloc(127), form: 'legacy' });
    await assert.rejects(seal({ payload: Buffer.alloc(128), form: 'legacy' }), { code: 'key.size' });
  });

  test('a locked PCR opens nothing more in this boot', async () => {
    const policy = await pcrPolicy(16);
    const blob = await seal({ policy });
    await unsealTrustedKey(tpm, blob, { policy });
    await lockPcr(tpm, 16);
    await assert.rejects(unsealTrustedKey(tpm, blob, { policy }), { code: 'key.wrong-boot-state' });
  });

  for (const form of ['asn1', 'legacy'] as const) {
    test(`a blob with a changed byte opens nowhere, which is a no of its own, and nothing is left in the TPM: ${form}`, async () => {
      const bytes = encodeTrustedBlob(await seal({ form, policy: await pcrPolicy(17) }));
      const parent = form === 'legacy' ? { parent: PARENT } : {};
      const answers = new Set<string>();
      for (let at = 0; at < bytes.length; at++) {
        for (const mask of [0x01, 0x80, 0xff]) {
          const changed = Buffer.from(bytes);
          changed[at] = (changed[at] ?? 0) ^ mask;
          const { code, exitCode } = await refusal(changed, parent);
          // The remark that no authorization is needed may say so or not: under a policy nothing depends on it.
          if (code === 'opened') assert.deepEqual([bytes[at], changed[at], at < 20], [1, 0, true], `byte ${at}`);
          else assert.equal(exitCode, 1, `byte ${at}: ${code}`);
          answers.add(code);
        }
      }
      const others = form === 'asn1' ? ['opened', 'key.no-parent'] : [];
      assert.deepEqual([...answers].sort(), ['key.foreign-blob', 'key.malformed', ...others].sort());
      for (const property of [0x80000000, 0x02000000, 0x03000000]) {
        const asked = { capability: 'handles', property, propertyCount: 16 } as const;
        const { capabilityData } = await tpm.execute(t.TPM2_GetCapability, asked);
        assert.deepEqual(capabilityData.data, []);
      }
    });
  }

  async function refusal(changed: Buffer, parent: UnsealRequest): Promise<{ code: string; exitCode: number }> {
    try {
      await unsealTrustedKey(tpm, parseTrustedBlob(changed), { ...parent, policy: await pcrPolicy(17) });
      return { code: 'opened', exitCode: 0 };
    } catch (error) {
      assert.ok(error instanceof KeyError, String(error));
      return error;
    }
  }

  test('a key that asks for an authorization value is not tried without one: the TPM counts wrong tries', async () => {
    const blob = await seal({ blobAuth: Buffer.from('1234') });
    for (let round = 0; round < 10; round++)
      await assert.rejects(unsealTrustedKey(tpm, blob), { code: 'key.wrong-secret', message: /none was given/ });
    await unsealTrustedKey(tpm, blob, { blobAuth: Buffer.from('1234') });
  });
}

async function clearLockout(tpm: t.TpmClient): Promise<void> {
  await tpm.execute(t.TPM2_DictionaryAttackLockReset, { lockHandle: t.TPM_RH.LOCKOUT });
}

describe('trusted keys and tpm2-tools', requires('swtpm', 'tpm2_quote'), () => {
  let running: RunningSwtpm;
  let tpm: t.TpmClient;
  let folder: string;
  before(async () => {
    running = await runSwtpm();
    folder = mkdtempSync(join(tmpdir(), 'assay-keys-'));
    tpm = await running.client();
    await keepStorageKey(tpm, PARENT);
  });
  after(async () => {
    await running[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** swtpm serves one connection at a time: ours is closed before the tool opens its own. */
  async function tool(...command: string[]): Promise<Buffer> {
    await tpm.close();
    try {
      const [program = '', ...args] = command;
      return execFileSync(program, args, {
        cwd: folder,
        env: { ...process.env, TPM2TOOLS_TCTI: running.name },
        stdio: 'pipe',
      });
    } finally {
      tpm = await running.client();
    }
  }

  async function loaded(blob: TrustedBlob): Promise<void> {
    writeFileSync(join(folder, 'key.pub'), t.encode(t.TPM2B_PUBLIC, blob.area));
    writeFileSync(join(folder, 'key.priv'), t.encode(t.TPM2B_PRIVATE, blob.private));
    await tool('tpm2_load', '-Q', '-C', '0x81000001', '-u', 'key.pub', '-r', 'key.priv', '-c', 'key.ctx');
    await tool('tpm2_flushcontext', '-t');
  }

  test('tpm2_unseal opens what we seal to PCRs, and no longer when they change', async () => {
    const payload = randomBytes(40);
    const values = await t.currentValues(tpm, [{ hash: 'sha256', pcrs: [0, 16] }]);
    await loaded(await sealTrustedKey(tpm, { payload, parent: PARENT, policy: [{ kind: 'pcr', values }] }));
    const unseal = () => tool('tpm2_unseal', '-Q', '-c', 'key.ctx', '-p', 'pcr:sha256:0,16');
    assert.deepEqual(await unseal(), payload);
    await tool('tpm2_flushcontext', '-t');
    await t.extendPcr(tpm, 16, [{ hashAlg: 'sha256', digest: digest('sha256', Buffer.from('x')) }]);
    await assert.rejects(unseal(), /TPM_RC_POLICY_FAIL|policy check failed|0x99D/i);
    await tool('tpm2_flushcontext', '-t');
    await tool('tpm2_flushcontext', '-l').catch(() => undefined);
  });

  test('our policy digests are tpm2-tools’: PCRs, alternatives, PIN', async () => {
    const values = await t.currentValues(tpm, [{ hash: 'sha256', pcrs: [1, 7] }]);
    const pcr: t.Policy = [{ kind: 'pcr', values }];
    await tool('tpm2_startauthsession', '-S', 's.ctx');
    await tool('tpm2_policypcr', '-Q', '-S', 's.ctx', '-l', 'sha256:1,7', '-L', 'pcr.policy');
    await tool('tpm2_policyauthvalue', '-Q', '-S', 's.ctx', '-L', 'pin.policy');
    await tool('tpm2_flushcontext', 's.ctx');
    const read = (name: string): Buffer => execFileSync('cat', [join(folder, name)]);
    assert.deepEqual(read('pcr.policy'), t.policyDigest(pcr, 'sha256'));
    assert.deepEqual(read('pin.policy'), t.policyDigest([...pcr, { kind: 'auth-value' }], 'sha256'));
    await tool('tpm2_startauthsession', '-S', 's.ctx');
    await tool('tpm2_policyor', '-Q', '-S', 's.ctx', '-L', 'or.policy', 'sha256:pcr.policy,pin.policy');
    await tool('tpm2_flushcontext', 's.ctx');
    const either: t.Policy = [{ kind: 'or', branches: [pcr, [...pcr, { kind: 'auth-value' }]] }];
    assert.deepEqual(read('or.policy'), t.policyDigest(either, 'sha256'));
  });

  test('we open what tpm2_create seals', async () => {
    const payload = randomBytes(64);
    writeFileSync(join(folder, 'payload'), payload);
    await tool('tpm2_create', '-Q', '-C', '0x81000001', '-i', 'payload', '-u', 'made.pub', '-r', 'made.priv');
    await tool('tpm2_flushcontext', '-t');
    const read = (name: string): Buffer => execFileSync('cat', [join(folder, name)]);
    const legacyBytes = Buffer.concat([read('made.priv'), read('made.pub')]);
    const blob = parseTrustedBlob(legacyBytes);
    const unsealed = await unsealTrustedKey(tpm, { ...blob, form: 'asn1', parent: PARENT, emptyAuth: true });
    assert.deepEqual(Buffer.from(unsealed.payload), payload);
  });
});
