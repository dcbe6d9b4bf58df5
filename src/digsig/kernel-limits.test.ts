import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kernelLimit, kernelLimitById } from './kernel-limits.ts';

const rsa = (bits: number) => ({ kind: 'rsa', bits }) as const;
const P256 = { kind: 'ec', bits: 256 } as const;

test('RSA of the sizes that the kernel takes, in whole bytes', () => {
  for (const bits of [1024, 2047, 2048, 3072, 4096])
    assert.equal(kernelLimit(rsa(bits), 'sha256'), undefined, `${bits}`);
  for (const bits of [768, 2049, 2304, 8192]) {
    assert.equal(kernelLimit(rsa(bits), 'sha256'), 'key-size-not-in-kernel', `${bits}`);
  }
});

test('each kind of key with its hash algorithms', () => {
  assert.deepEqual(
    (['md5', 'sha256', 'sha3-512', 'sm3'] as const).map((hash) => [
      kernelLimit(rsa(2048), hash),
      kernelLimit(P256, hash),
    ]),
    [
      [undefined, 'hash-not-in-kernel'],
      [undefined, undefined],
      [undefined, undefined],
      ['hash-not-in-kernel', 'hash-not-in-kernel'],
    ],
  );
  assert.equal(kernelLimit({ kind: 'sm2', bits: 256 }, 'sm3'), 'key-kind-not-in-kernel');
});

test('a key whose certificate has no identifier is not found by one', () => {
  assert.equal(kernelLimitById({ ...P256, isFoundById: false }, 'sha256'), 'key-not-found-by-kernel');
  assert.equal(kernelLimitById({ ...P256, isFoundById: true }, 'sha256'), undefined);
});
