import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ParseError } from '../bytes/index.ts';
import { DigsigError, encodeSignature, formatKeyId, keyId, parseKeyId, parseSignature } from './index.ts';

const isAt = (code: string, offset: number) => (error: unknown) =>
  error instanceof ParseError && error.code === code && error.offset === offset;

test('what is encoded is parsed again, in every format', () => {
  const signature = Buffer.alloc(71, 5);
  for (const version of [2, 3] as const) {
    const bytes = encodeSignature({ version, algorithm: 'sha512', keyId: keyId(0xfedcba98), signature });
    assert.equal(bytes.subarray(0, 8).toString('hex'), `0${version}06fedcba980047`);
    const back = parseSignature(bytes);
    assert.deepEqual(
      { ...back, signature: Buffer.from(back.signature) },
      {
        version,
        hashId: 6,
        algorithm: 'sha512',
        keyId: 0xfedcba98,
        signature,
      },
    );
  }
  const v1 = { version: 1, time: 0xfffffffe, algorithm: 'sha1', keyId: Buffer.alloc(8, 9), signature } as const;
  const back = parseSignature(encodeSignature(v1));
  assert.deepEqual(
    { ...back, keyId: Buffer.from(back.keyId as Uint8Array), signature: Buffer.from(back.signature) },
    v1,
  );
});

test('a signature of RSA-8192 fits, one of 70,000 bytes and an empty one do not', () => {
  const of = (size: number) =>
    encodeSignature({ version: 2, algorithm: 'sha256', keyId: keyId(1), signature: Buffer.alloc(size) });
  assert.equal(parseSignature(of(1024)).signature.length, 1024);
  assert.throws(() => of(70_000), DigsigError);
  assert.throws(() => of(0), DigsigError);
});

test('sizes that do not agree, unknown versions and left-over bytes are refused with their place', () => {
  const good = Buffer.from('020400000001000401020304', 'hex');
  assert.equal(parseSignature(good).signature.length, 4);
  assert.throws(() => parseSignature(Buffer.concat([good, Buffer.of(0)])), isAt('parse.trailing', 12));
  assert.throws(() => parseSignature(good.subarray(0, 11)), isAt('parse.truncated', 8));
  assert.throws(() => parseSignature(good.subarray(0, 8), 1), isAt('parse.truncated', 9));
  assert.throws(() => parseSignature(Buffer.from('0204000000010000', 'hex')), isAt('parse.invalid', 6));
  assert.throws(() => parseSignature(Buffer.of(4, 1, 2)), isAt('parse.unknown-value', 0));
  assert.throws(() => parseSignature(Buffer.of()), isAt('parse.truncated', 0));
});

test('a hash algorithm that cannot be computed here is kept as its number', () => {
  const header = parseSignature(Buffer.from('02120000000100020102', 'hex'));
  assert.ok(header.version === 2);
  assert.deepEqual([header.hashId, header.algorithm], [0x12, undefined]);
});

test('any bytes give a header that encodes to the same bytes, or a ParseError', () => {
  const version = fc.constantFrom(1, 2, 3);
  fc.assert(
    fc.property(version, fc.uint8Array({ maxLength: 60 }), (first, rest) => {
      const bytes = Buffer.concat([Buffer.of(first), rest]);
      try {
        const header = parseSignature(bytes);
        // Format 1 counts bits: only whole bytes are written.
        if (header.algorithm !== undefined && header.version !== 1) assert.deepEqual(encodeSignature(header), bytes);
      } catch (error) {
        assert.ok(error instanceof ParseError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test('key ids are up to eight hex digits', () => {
  assert.equal(parseKeyId('0xABCD'), 0xabcd);
  assert.equal(formatKeyId(parseKeyId('1')), '00000001');
  for (const text of ['', '0x', '123456789', 'key', '-1', '1 ']) assert.throws(() => parseKeyId(text), DigsigError);
  assert.throws(() => keyId(2 ** 32), DigsigError);
});
