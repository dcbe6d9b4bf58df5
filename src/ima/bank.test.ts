import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Bank } from './bank.ts';

const afterViolation = (content: 'hashed' | 'padded' | 'unallocated'): string | undefined => {
  const bank = new Bank('sha384', content);
  bank.extend(10, bank.violationDigest);
  return bank.values()['10'];
};

const sha384 = (...parts: readonly Uint8Array[]): string =>
  createHash('sha384').update(Buffer.concat(parts)).digest('hex');

const START = Buffer.alloc(48);

test('a violation fills the width of a bank whose algorithm the kernel names, allocated or not', () => {
  const expected = sha384(START, Buffer.alloc(48, 0xff));
  assert.equal(afterViolation('hashed'), expected);
  assert.equal(afterViolation('unallocated'), expected);
});

test("a violation in a bank that the kernel has no name for has SHA-1's width", () => {
  assert.equal(afterViolation('padded'), sha384(START, Buffer.alloc(20, 0xff), Buffer.alloc(28)));
});
