import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { ecdsaSigner, ecdsaVerifier } from './ecdsa.ts';
import { ecdsaVerifierOfMany, KeyTable } from './ecdsa-table.ts';

/** SEC 2, 2.4.2. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const table = new KeyTable(publicKey);
const digest = createHash('sha256').update('content').digest();
const signature = ecdsaSigner(privateKey).sign(digest);

const confirms = (by: KeyTable, over: Uint8Array, made: Uint8Array): boolean | undefined =>
  by.confirms([{ digest: over, signature: made }])[0];

function integer(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  const positive = (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes;
  return Buffer.concat([Buffer.of(2, positive.length), positive]);
}

function encoded(r: Buffer, s: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0x30, r.length + s.length), r, s]);
}

function halves(der: Buffer): { r: bigint; s: bigint } {
  const length = der.readUInt8(3);
  const at = 4 + length;
  const number = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex')}`);
  return { r: number(der.subarray(4, at)), s: number(der.subarray(at + 2)) };
}

function signatureWhere(isWanted: (r: bigint) => boolean): { r: Buffer; s: Buffer } {
  for (;;) {
    const { r, s } = halves(ecdsaSigner(privateKey).sign(digest));
    if (isWanted(r)) return { r: integer(r), s: integer(s) };
  }
}

test('confirms signatures of every content, by this key alone', () => {
  const other = new KeyTable(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (content) => {
      const made = sign('sha256', content, privateKey);
      const hash = createHash('sha256').update(content).digest();
      assert.equal(confirms(table, hash, made), true);
      assert.equal(confirms(other, hash, made), false);
      assert.equal(confirms(table, digest, made), false);
    }),
    { numRuns: 100 },
  );
});

test('known answer: RFC 6979, A.2.5, SHA-256 of "sample", and SHA-512, which is cut', () => {
  const point = {
    kty: 'EC',
    crv: 'P-256',
    x: Buffer.from('60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6', 'hex').toString('base64url'),
    y: Buffer.from('7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299', 'hex').toString('base64url'),
  };
  const key = new KeyTable(createPublicKey({ key: point, format: 'jwk' }));
  const r256 = 0xefd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716n;
  const s256 = 0xf7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8n;
  const r512 = 0x8496a60b5e9b47c825488827e0495b0e3fa109ec4568fd3f8d1097678eb97f00n;
  const s512 = 0x2362ab1adbe2b8adf9cb9edab740ea6049c028114f2460f96554f61fae3302fen;
  const hash = (name: string): Buffer => createHash(name).update('sample').digest();
  assert.equal(confirms(key, hash('sha256'), encoded(integer(r256), integer(s256))), true);
  assert.equal(confirms(key, hash('sha512'), encoded(integer(r512), integer(s512))), true);
  assert.equal(confirms(key, hash('sha256'), encoded(integer(r512), integer(s512))), false);
});

test('refuses halves out of range, and takes the other root of s, as OpenSSL does', () => {
  const { r, s } = halves(signature);
  const verifier = ecdsaVerifier(publicKey, 'openssl');
  assert.equal(confirms(table, digest, encoded(integer(r), integer(ORDER - s))), true);
  const bad: readonly (readonly [bigint, bigint])[] = [
    [0n, 0n],
    [0n, s],
    [r, 0n],
    [1n, 1n],
    [ORDER, s],
    [r, ORDER],
    [r + ORDER, s],
    [r, s + ORDER],
    [s, r],
    [r, s ^ 1n],
  ];
  for (const [first, second] of bad) {
    const made = encoded(integer(first), integer(second));
    assert.equal(confirms(table, digest, made), false, `${first} ${second}`);
    assert.equal(verifier.verify(digest, made), false);
  }
  const zeros = Buffer.alloc(32);
  assert.equal(confirms(table, zeros, encoded(integer(0n), integer(0n))), false);
});

test('confirms nothing that is not the one encoding', () => {
  const [low, high] = [signatureWhere((r) => r >> 255n === 0n), signatureWhere((r) => r >> 255n === 1n)];
  const padded = Buffer.concat([Buffer.of(2, low.r.length - 1, 0), low.r.subarray(2)]);
  const negative = Buffer.concat([Buffer.of(2, high.r.length - 3), high.r.subarray(3)]);
  assert.equal(confirms(table, digest, encoded(low.r, low.s)), true);
  assert.equal(confirms(table, digest, encoded(high.r, high.s)), true);
  const forms = [
    Buffer.alloc(0),
    Buffer.of(0x30, 0),
    Buffer.concat([signature, Buffer.alloc(1)]),
    signature.subarray(0, -1),
    encoded(padded, low.s),
    encoded(negative, high.s),
    Buffer.concat([Buffer.of(0x30, 0x81, signature.length - 2), signature.subarray(2)]),
  ];
  for (const form of forms) assert.equal(confirms(table, digest, form), false, form.toString('hex'));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => assert.equal(confirms(table, digest, bytes), false)),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(fc.nat(signature.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(signature);
      changed.writeUInt8(changed.readUInt8(at) ^ flip, at);
      assert.equal(confirms(table, digest, changed), false);
    }),
    { numRuns: 200 },
  );
});

test('many at once get each its own answer', () => {
  const signer = ecdsaSigner(privateKey);
  const one = fc.record({
    content: fc.uint8Array({ minLength: 1, maxLength: 8 }),
    harm: fc.constantFrom('none', 'digest', 'signature', 'encoding', 'zero'),
  });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 600, size: 'max' }), (wanted) => {
      const signed = wanted.map(({ content, harm }) => {
        const over = createHash('sha256').update(content).digest();
        const made = signer.sign(over);
        if (harm === 'signature') made.writeUInt8(made.readUInt8(made.length - 1) ^ 1, made.length - 1);
        if (harm === 'encoding') return { digest: over, signature: made.subarray(1) };
        if (harm === 'zero') return { digest: over, signature: encoded(integer(1n), integer(0n)) };
        return { digest: harm === 'digest' ? digest : over, signature: made };
      });
      const expected = wanted.map(({ harm }) => harm === 'none');
      assert.deepEqual(table.confirms(signed), expected);
      const verifier = ecdsaVerifierOfMany(publicKey, 0);
      assert.deepEqual(verifier.verifyAll(signed), expected);
      assert.equal(verifier.verify(digest, signature), true);
      assert.equal(verifier.isWorthBatching, true);
      assert.deepEqual(verifier.verifyAll(signed), expected);
    }),
    { numRuns: 8 },
  );
});

test('answers alike before and after the table is made, and leaves no error behind', () => {
  const verifier = ecdsaVerifierOfMany(publicKey, 2);
  const wrong = Buffer.from(signature);
  wrong.writeUInt8(wrong.readUInt8(wrong.length - 1) ^ 1, wrong.length - 1);
  for (let round = 0; round < 5; round++) {
    assert.equal(verifier.verify(digest, signature), true);
    assert.equal(verifier.verify(digest, wrong), false);
  }
  assert.equal(sign('sha256', digest, privateKey).length > 60, true);
});

test('other curves have no table and the same answers', () => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const verifier = ecdsaVerifierOfMany(pair.publicKey, 0);
  assert.equal(verifier.verify(digest, ecdsaSigner(pair.privateKey).sign(digest)), true);
  assert.equal(verifier.verify(digest, signature), false);
});
