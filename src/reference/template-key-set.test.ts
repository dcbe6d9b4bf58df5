import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TemplateKeySet } from './template-key-set.ts';

// Few different bytes, so that keys collide in their first four characters and are probed past each other.
const key = fc
  .array(fc.constantFrom(0, 1, 255), { minLength: 32, maxLength: 32 })
  .map((codes) => String.fromCharCode(...codes));

test('it holds what was put in, and nothing else', () => {
  fc.assert(
    fc.property(fc.array(key), key, (keys, other) => {
      const set = new TemplateKeySet(keys);
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
  assert.ok(!new TemplateKeySet().has(zeros));
  assert.ok(new TemplateKeySet([zeros]).has(zeros));
  assert.ok(!new TemplateKeySet([zeros, 'short']).has('short'));
  assert.equal(new TemplateKeySet(['short']).size, 0);
});
