import assert from 'node:assert/strict';
import { createHash, pbkdf2Sync } from 'node:crypto';
import { test } from 'node:test';
import { VtpmError } from './error.ts';
import { deriveStateKey, parseStateKey } from './state-key.ts';

const HEX = '1234567890abcdef1234567890abcdef';
const isArgument = (error: unknown): boolean =>
  error instanceof VtpmError && error.code === 'vtpm.argument' && !error.message.includes(HEX.slice(0, 8));

test('a key file in hex digits: with or without 0x, up to the first blank', () => {
  const key = Buffer.from(HEX, 'hex');
  for (const text of [HEX, `0x${HEX}`, `${HEX}\n`, `${HEX.toUpperCase()} spoken words`]) {
    assert.deepEqual(Buffer.from(parseStateKey(Buffer.from(text), 'hex', 16)), key);
  }
  assert.deepEqual(Buffer.from(parseStateKey(Buffer.from(HEX + HEX), 'hex', 32)), Buffer.concat([key, key]));
});

test('what is no key of the size is refused, and the error does not repeat it', () => {
  for (const text of ['', HEX.slice(1), `${HEX}0`, `${HEX}${HEX}`, `${HEX.slice(0, -1)}g`, `\n${HEX}`]) {
    assert.throws(() => parseStateKey(Buffer.from(text), 'hex', 16), isArgument);
  }
  for (const size of [0, 15, 17, 32]) assert.throws(() => parseStateKey(Buffer.alloc(size), 'binary', 16), isArgument);
  assert.deepEqual(parseStateKey(Buffer.alloc(16, 5), 'binary', 16), new Uint8Array(16).fill(5));
  assert.throws(() => deriveStateKey(Buffer.alloc(0), 'pbkdf2', 32), isArgument);
});

test('a passphrase becomes a key as swtpm makes it', () => {
  const passphrase = Buffer.from('password\n');
  assert.deepEqual(
    Buffer.from(deriveStateKey(passphrase, 'sha512', 16)),
    createHash('sha512').update(passphrase).digest().subarray(0, 16),
  );
  assert.deepEqual(
    Buffer.from(deriveStateKey(passphrase, 'pbkdf2', 32)),
    pbkdf2Sync(passphrase, 'swtpm', 1000, 32, 'sha512'),
  );
});
