import assert from 'node:assert/strict';
import { checkPrimeSync, generatePrimeSync } from 'node:crypto';
import { test } from 'node:test';
import { digest, toHex } from '../../bytes/index.ts';
import { toBigInt } from './ecc.ts';
import { derivedStream, rsaKey } from './key-generation.ts';
import { isProbablePrime } from './primality.ts';

const bytesOf = (number: bigint): number => Math.ceil(number.toString(2).length / 8);
const isFound = (number: bigint): boolean => isProbablePrime(number, bytesOf(number));

test('primes are found: known ones and those that OpenSSL makes', () => {
  assert.ok(isFound(2n ** 521n - 1n), 'a Mersenne prime');
  assert.ok(isFound(2n ** 607n - 1n), 'another');
  for (const bits of [512, 768, 1024, 1536]) assert.ok(isFound(generatePrimeSync(bits, { bigint: true })), `${bits}`);
});

test('numbers that look prime to some tests are not taken', () => {
  // Every 2^p - 1 with p prime passes the test of base 2
  for (const p of [523n, 541n, 1033n]) assert.ok(!isFound(2n ** p - 1n), `2^${p} - 1`);
  // Chernick's form of Carmichael numbers: a^(n-1) = 1 for every base without a common factor
  const k = 2n ** 168n + 198074n;
  const factors = [6n * k + 1n, 12n * k + 1n, 18n * k + 1n];
  assert.ok(factors.every((factor) => checkPrimeSync(factor)));
  assert.ok(!isFound(factors.reduce((product, factor) => product * factor, 1n)));
});

test('products of primes, and squares, are not taken', () => {
  const [p, q] = [generatePrimeSync(512, { bigint: true }), generatePrimeSync(512, { bigint: true })];
  for (const composite of [p * q, p * p, p * 3n]) assert.ok(!isFound(composite));
});

test('the same stream gives the same RSA key, of primes', () => {
  const stream = () => derivedStream(Buffer.alloc(32, 1), 'a test', Buffer.alloc(0), Buffer.alloc(0));
  const { n, p } = rsaKey(2048, 0, stream());
  const q = toBigInt(n) / toBigInt(p);
  assert.ok(checkPrimeSync(toBigInt(p)) && checkPrimeSync(q));
  // Recorded when the primes were still found by OpenSSL's checkPrime: primary keys are what they were
  assert.equal(toHex(digest('sha256', n)), 'd24893a96aacbe2fcf4ea4c807b7e57a3e6e461e58a2bf1fab7a234ad011bfbd');
});
