import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { fromHex, toHex } from '../../bytes/index.ts';
import { decode, KDFa, KDFe, TPMS_ID_OBJECT, TpmError } from '../index.ts';

const NONE = new Uint8Array();
/** The Name for which TPM2_MakeCredential of swtpm 0.7.1 made both blobs below. */
const NAME = new Uint8Array([0x00, 0x0b, ...new Uint8Array(32).fill(0x5a)]);

/** A blob's HMAC, made by the TPM with keys that it derived from the same seed (Part 1, 24.5). */
function assertIntegrity(algorithm: 'sha256' | 'sha384', seed: Uint8Array, bits: number, blob: string): void {
  const { integrityHMAC, encIdentity } = decode(TPMS_ID_OBJECT, fromHex(blob));
  const key = KDFa(algorithm, seed, 'INTEGRITY', NONE, NONE, bits);
  assert.equal(createHmac(algorithm, key).update(encIdentity).update(NAME).digest('hex'), toHex(integrityHMAC));
}

test('KDFe and KDFa derive what a TPM derived for a P-256 key', () => {
  const z = fromHex('c2bc25e58c057bd666689f3fff1c0587a8512c1b9df2fd179d50247a6fbaba0c');
  const ephemeral = fromHex('e5cd7c84bfc0c53fd6617e5d962d50d11bb7642a312820af69b0bdb35dab06b4');
  const recipient = fromHex('e411502127d36b27fe2600ce04a1734614e3c9e946dce90bd229fa00860a79e1');
  const seed = KDFe('sha256', z, 'IDENTITY', ephemeral, recipient, 256);
  assertIntegrity(
    'sha256',
    seed,
    256,
    '00206850682cbae2d87b4595af7a247d2f4bfe35b0f8758b3fe1a2243c03bc3d9d61274d2f2e9c4671581c48b48dc46b1b082d09',
  );
});

test('KDFa derives what a TPM derived from an OAEP seed with SHA-384', () => {
  assertIntegrity(
    'sha384',
    fromHex('70aa79a7d3652d42c56d546c5d2ea9dc52287897d3a1a26378cdfc947c6d4be4d2ddba7019fbf759d26c0ab6ad4b25fa'),
    384,
    '0030461038c8be40a444c9f835f30a3664a3f0b1b9cffaedaed3d4762051d3f9e4df654112d9de4c4af417a9c6637ea411c69a41e582865cbe2ff842d82f5812811d600d',
  );
});

test('output longer than one block goes on with the next counter', () => {
  const key = new Uint8Array([1, 2, 3]);
  const block = (i: number) =>
    createHmac('sha1', key)
      .update(Buffer.from([0, 0, 0, i]))
      .update('STORAGE\0UV')
      .update(Buffer.from([0, 0, 1, 0]))
      .digest();
  const expected = Buffer.concat([block(1), block(2)]).subarray(0, 32);
  assert.equal(toHex(KDFa('sha1', key, 'STORAGE', Buffer.from('U'), Buffer.from('V'), 256)), toHex(expected));
});

test('bits that do not fill an octet clear the highest bits of the first (Part 1, 11.4.10.3)', () => {
  const [z, u, v] = [new Uint8Array(66).fill(0xff), new Uint8Array(66), new Uint8Array(66)];
  for (let i = 0; i < 16; i++) {
    z[0] = i;
    const out = KDFe('sha256', z, 'X', u, v, 521);
    assert.equal(out.length, 66);
    assert.ok((out[0] ?? 255) <= 1);
  }
});

test('no bits, and more than anything needs, are refused', () => {
  for (const bits of [0, -8, 1.5, 1 << 20]) {
    assert.throws(
      () => KDFa('sha256', NONE, 'X', NONE, NONE, bits),
      (error) => error instanceof TpmError && error.code === 'tpm.argument',
    );
  }
});
