import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decryptKey, encodeEncryptedKey, encryptKey, parseEncryptedKey, reencryptKey } from './encrypted-key.ts';
import { KeyError } from './error.ts';

const PAYLOAD = Buffer.from('0123456789abcdef0123456789abcdefABCDEFGH');
const MASTER = { name: 'user:kmk', payload: Buffer.from('a master key of 32 bytes, really') } as const;

const codeOf = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    return error instanceof KeyError ? error.code : String(error);
  }
};

test('what is encrypted decrypts under its master key alone', () => {
  const line = encodeEncryptedKey(encryptKey(PAYLOAD, MASTER));
  assert.match(line, /^default user:kmk 40 [0-9a-f]+$/);
  assert.deepEqual(decryptKey(parseEncryptedKey(line), MASTER.payload), PAYLOAD);
  assert.deepEqual(decryptKey(parseEncryptedKey(`load ${line}\n`), MASTER.payload), PAYLOAD);
  assert.equal(
    codeOf(() => decryptKey(parseEncryptedKey(line), Buffer.from('another'))),
    'key.wrong-master',
  );
});

test('the format, the master’s name and the length are under the HMAC', () => {
  const line = encodeEncryptedKey(encryptKey(PAYLOAD.subarray(0, 32), MASTER, 'enc32'));
  for (const changed of [line.replace('enc32', 'default'), line.replace('kmk', 'other'), line.replace('enc32 ', '')]) {
    assert.equal(
      codeOf(() => decryptKey(parseEncryptedKey(changed), MASTER.payload)),
      'key.wrong-master',
      changed,
    );
  }
});

test('a changed digit anywhere in the data never decrypts', () => {
  const line = encodeEncryptedKey(encryptKey(PAYLOAD, MASTER));
  const start = line.lastIndexOf(' ') + 1;
  for (let at = start; at < line.length; at++) {
    const isKernelsByte = at - start === 32 || at - start === 33; // after the IV: the kernel takes it as it comes
    const digit = line[at] === '0' ? '1' : '0';
    const changed = `${line.slice(0, at)}${digit}${line.slice(at + 1)}`;
    const code = codeOf(() => decryptKey(parseEncryptedKey(changed), MASTER.payload));
    assert.equal(code, isKernelsByte ? 'key.malformed' : 'key.wrong-master', `digit ${at - start}`);
  }
});

test('sizes are those of the formats', () => {
  const sizes = (format: 'default' | 'ecryptfs' | 'enc32', size: number) =>
    codeOf(() => encryptKey(Buffer.alloc(size), MASTER, format));
  assert.deepEqual(
    [19, 20, 4096, 4097].map((size) => sizes('default', size)),
    ['key.size', undefined, undefined, 'key.size'],
  );
  assert.deepEqual(
    [63, 64, 65].map((size) => sizes('ecryptfs', size)),
    ['key.size', undefined, 'key.size'],
  );
  assert.deepEqual(
    [31, 32, 33].map((size) => sizes('enc32', size)),
    ['key.size', undefined, 'key.size'],
  );
});

test('under another master key the payload is the same and the line another', () => {
  const key = encryptKey(PAYLOAD, MASTER);
  const other = { name: 'trusted:root', payload: Buffer.alloc(64, 7) } as const;
  const moved = reencryptKey(key, MASTER.payload, other);
  assert.equal(moved.master, 'trusted:root');
  assert.notDeepEqual(moved.iv, key.iv);
  assert.deepEqual(decryptKey(moved, other.payload), PAYLOAD);
});

test('lines that are none are refused with their place, and never crash', () => {
  const words = fc.stringMatching(/^[ -~]{0,60}$/);
  fc.assert(
    fc.property(
      fc.oneof(
        words,
        words.map((text) => `default user:kmk 32 ${text}`),
      ),
      (text) => {
        const code = codeOf(() => parseEncryptedKey(text));
        assert.ok(code === undefined || code === 'key.malformed' || code === 'key.size', `${text}: ${code}`);
      },
    ),
    { numRuns: 300 },
  );
  assert.equal(
    codeOf(() => parseEncryptedKey(`default user:kmk 32 ${'00'.repeat(9000)}`)),
    'key.malformed',
  );
});
