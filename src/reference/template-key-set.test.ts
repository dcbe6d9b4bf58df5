import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TemplateKeySet } from './template-key-set.ts';

const SHA1 = 'abcdefghijklmnopqrst';
// Few different bytes, so that keys collide in their first four characters and are probed past each other.
const key = fc
  .array(fc.constantFrom(0, 1, 255), { minLength: 32, maxLength: 32 })
  .map((codes) => String.fromCharCode(...codes));
const setOf = (keys: readonly string[]) => new TemplateKeySet(keys.map((sha256) => ({ sha256, sha1: SHA1 })));

test('it holds what was put in, and nothing else', () => {
  fc.assert(
    fc.property(fc.array(key), key, (keys, other) => {
      const set = setOf(keys);
      const expected = new Set(keys);
      assert.equal(set.size, expected.size);
      for (const each of keys) assert.ok(set.has(each));
      assert.equal(set.has(other), expected.has(other));
    }),
    { numRuns: 200 },
  );
});

test('a key of zeros is a key, and one of another length is none', () => {
  const zeros = '\0'.repeat(32);
  assert.ok(!setOf([]).has(zeros));
  assert.ok(setOf([zeros]).has(zeros));
  assert.ok(!setOf([zeros]).has('short'));
  assert.throws(() => setOf(['short']), RangeError);
});

test('it takes as many as it has room for, and holds on to them', () => {
  const set = new TemplateKeySet([], 2);
  const keys = ['a', 'b', 'c'].map((letter) => letter.repeat(32));
  assert.deepEqual(
    keys.map((sha256) => set.add({ sha256, sha1: SHA1 })),
    [true, true, false],
  );
  assert.ok(set.add({ sha256: 'a'.repeat(32), sha1: SHA1 }));
  assert.deepEqual(
    keys.map((sha256) => set.has(sha256)),
    [true, true, false],
  );
});

test('a stored template digest is compared in every byte', () => {
  const set = setOf(['\x01'.repeat(32)]);
  const slot = set.find('\x01'.repeat(32));
  const list = Buffer.from(`xx${SHA1}`, 'latin1');
  assert.ok(set.storesSha1(slot, list, { digestStart: 2 }));
  for (let at = 2; at < list.length; at++) {
    const changed = Buffer.from(list);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.ok(!set.storesSha1(slot, changed, { digestStart: 2 }));
  }
});
