import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { DigsigError, readBlacklist } from './index.ts';

const source = 'listed';
const HASH = 'AB'.repeat(32);

test('hashes are read as the kernel has them, in lines of its configuration or bare', () => {
  const text = `# revoked\n"bin:${HASH}",\n\nbin:${'01'.repeat(20)}\n`;
  const { keys, hashes } = readBlacklist(Buffer.from(text), { source });
  assert.deepEqual([...hashes], [HASH.toLowerCase(), '01'.repeat(20)]);
  assert.equal(keys.length, 0);
});

test('a key is read as anywhere else', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { keys, hashes } = readBlacklist(publicKey.export({ type: 'spki', format: 'der' }), { source });
  assert.deepEqual([keys.length, hashes.size], [1, 0]);
});

test('what would be passed over in silence is refused, with its line', () => {
  const refused = (text: string, pattern: RegExp): void =>
    assert.throws(
      () => readBlacklist(Buffer.from(text), { source }),
      (error) => error instanceof DigsigError && pattern.test(error.message),
    );
  refused(`bin:${HASH}\nbin:12\n`, /listed, line 2: not bin:/);
  refused(`bin:${HASH}\n${HASH}\n`, /listed, line 2/);
  refused(`tbs:${HASH}\n`, /line 1: the hash of a certificate's body/);
  refused('some words\n', /listed/);
});

test('any bytes are keys, hashes or a DigsigError', () => {
  const list = fc
    .array(fc.constantFrom(`bin:${HASH}`, 'bin:', '"', ',', '#', '\n', '\0', 'tbs:', '0'))
    .map((parts) => parts.join(''));
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    list.map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(bytes, (given) => {
      try {
        readBlacklist(given, { source });
      } catch (error) {
        assert.ok(error instanceof DigsigError);
      }
    }),
    { numRuns: 300 },
  );
});
