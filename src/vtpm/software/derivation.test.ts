import assert from 'node:assert/strict';
import { createECDH, createHmac } from 'node:crypto';
import { test } from 'node:test';
import { isRefusal, NO_SCHEME, NONE, startedTpm } from '../../../test/fixtures/started-tpm.ts';
import { keepStorageKey } from '../../../test/fixtures/storage-key.ts';
import { digest, toHex } from '../../bytes/index.ts';
import {
  encode,
  TPM2_CreateLoaded,
  TPM2_FlushContext,
  TPM2_Import,
  TPM2_Load,
  TPM2B_SENSITIVE,
  TPMS_DERIVE,
  type TPMT_PUBLIC,
  TPMT_TEMPLATE_DERIVED,
  type TpmClient,
} from '../../tpm/index.ts';

const STORAGE = 0x81000001;
const KEY = Buffer.alloc(32, 0x5a);
const SEED = Buffer.alloc(32, 0xa5);
const LABEL = Buffer.from('disk');
const CONTEXT = Buffer.from('volume 1');

/** A parent for derived keys that may move, with a key that the test knows. */
const PARENT: TPMT_PUBLIC = {
  type: 'keyedhash',
  nameAlg: 'sha256',
  objectAttributes: { userWithAuth: true, restricted: true, decrypt: true },
  authPolicy: NONE,
  parameters: { scheme: { scheme: 'xor', hashAlg: 'sha256', kdf: 'kdf1_sp800_108' } },
  // Of a parent, HMAC instead of a hash (Part 1, 27.5.3.2)
  unique: createHmac('sha256', SEED).update(KEY).digest(),
};

async function loadParent(client: TpmClient): Promise<number> {
  await keepStorageKey(client, STORAGE);
  const sensitive = { sensitiveType: 'keyedhash', authValue: NONE, seedValue: SEED, sensitive: KEY } as const;
  const { outPrivate } = await client.execute(TPM2_Import, {
    parentHandle: STORAGE,
    encryptionKey: NONE,
    objectPublic: PARENT,
    duplicate: encode(TPM2B_SENSITIVE, sensitive),
    inSymSeed: NONE,
    symmetricAlg: { algorithm: 'null' },
  });
  const request = { parentHandle: STORAGE, inPrivate: outPrivate, inPublic: PARENT };
  return (await client.execute(TPM2_Load, request)).objectHandle;
}

type Template = Parameters<typeof TPMT_TEMPLATE_DERIVED.write>[1];

const SHARED = { nameAlg: 'sha256', authPolicy: NONE, unique: { label: LABEL, context: CONTEXT } } as const;
const SIGNS = { fixedParent: true, userWithAuth: true, sign: true } as const;
const ECC = {
  ...SHARED,
  type: 'ecc',
  objectAttributes: SIGNS,
  parameters: { symmetric: { algorithm: 'null' }, scheme: NO_SCHEME, curveID: 'p256', kdf: NO_SCHEME },
} as const satisfies Template;
const HMAC = {
  ...SHARED,
  type: 'keyedhash',
  objectAttributes: SIGNS,
  parameters: { scheme: { scheme: 'hmac', hashAlg: 'sha256' } },
} as const satisfies Template;
const AES = {
  ...SHARED,
  type: 'symcipher',
  objectAttributes: { fixedParent: true, userWithAuth: true, decrypt: true },
  parameters: { sym: { algorithm: 'aes', keyBits: 128, mode: 'cfb' } },
} as const satisfies Template;

async function derive(client: TpmClient, parentHandle: number, template: Template, data: Uint8Array = NONE) {
  const inPublic = encode(TPMT_TEMPLATE_DERIVED, template);
  const request = { parentHandle, inSensitive: { userAuth: NONE, data }, inPublic };
  const { objectHandle, outPublic, outPrivate } = await client.execute(TPM2_CreateLoaded, request);
  await client.execute(TPM2_FlushContext, { flushHandle: objectHandle });
  assert.equal(outPrivate.length, 0, 'nothing to keep: it is derived again');
  return outPublic;
}

/** KDFa (Part 1, 11.4.10.2), of which TPM_MAX_DERIVATION_BITS are asked however little is used. */
function derived(size: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(size / 32) }, (_, i) => {
    const [counter, bits] = [Buffer.alloc(4), Buffer.alloc(4)];
    counter.writeUInt32BE(i + 1);
    bits.writeUInt32BE(8192);
    return createHmac('sha256', KEY).update(counter).update(LABEL).update('\0').update(CONTEXT).update(bits).digest();
  });
  return Buffer.concat(blocks).subarray(0, size);
}

const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);

test('derived keys are KDFa’s output, of which each takes what it needs, its seed behind it', async () => {
  const { client } = startedTpm();
  const parent = await loadParent(client);

  const ecc = await derive(client, parent, ECC);
  // FIPS 186-4, B.4.1: 64 bits more than the order has
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const d = (numberOf(derived(40)) % (n - 1n)) + 1n;
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(d.toString(16).padStart(64, '0'), 'hex');
  const expected = ecdh.getPublicKey('hex');
  assert.ok(ecc.type === 'ecc');
  assert.equal(`04${toHex(ecc.unique.x)}${toHex(ecc.unique.y)}`, expected);

  const hmac = await derive(client, parent, HMAC);
  const bytes = derived(64);
  assert.ok(hmac.type === 'keyedhash');
  assert.equal(toHex(hmac.unique), toHex(digest('sha256', bytes.subarray(32), bytes.subarray(0, 32))));

  const aes = await derive(client, parent, AES);
  assert.ok(aes.type === 'symcipher');
  assert.equal(toHex(aes.unique), toHex(digest('sha256', bytes.subarray(16, 48), bytes.subarray(0, 16))));
});

test('label and context may come with the sensitive data; those of the template go first', async () => {
  const { client } = startedTpm();
  const parent = await loadParent(client);
  const known = await derive(client, parent, ECC);
  const data = encode(TPMS_DERIVE, { label: LABEL, context: CONTEXT });
  const open: Template = { ...ECC, unique: { label: NONE, context: NONE } };
  assert.deepEqual(await derive(client, parent, open, data), known);
  const others = encode(TPMS_DERIVE, { label: Buffer.from('other'), context: Buffer.from('volume 2') });
  assert.deepEqual(await derive(client, parent, ECC, others), known);
  assert.notDeepEqual(await derive(client, parent, open, others), known);
  await assert.rejects(derive(client, parent, ECC, Buffer.alloc(1)), isRefusal('INSUFFICIENT'));
});

test('RSA keys are not derived, nor what says that its TPM made it, nor what may leave its parent', async () => {
  const { client } = startedTpm();
  const parent = await loadParent(client);
  const rsa: Template = {
    ...ECC,
    type: 'rsa',
    parameters: { symmetric: { algorithm: 'null' }, scheme: NO_SCHEME, keyBits: 2048, exponent: 0 },
  };
  await assert.rejects(derive(client, parent, rsa), isRefusal('TYPE'));
  const attributes = (change: object): Template => ({ ...ECC, objectAttributes: { ...SIGNS, ...change } });
  await assert.rejects(derive(client, parent, attributes({ sensitiveDataOrigin: true })), isRefusal('ATTRIBUTES'));
  await assert.rejects(derive(client, parent, attributes({ fixedParent: false })), isRefusal('ATTRIBUTES'));
});
