import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutFinalNuls } from './text.ts';

test('NULs at the end are dropped, those inside stay', () => {
  assert.equal(withoutFinalNuls('a\0b\0\0'), 'a\0b');
  assert.equal(withoutFinalNuls('\0\0'), '');
  assert.equal(withoutFinalNuls(''), '');
});

test('a run of NULs with something behind it costs no more than its length', () => {
  const text = `${'\0'.repeat(4 << 20)}x`;
  assert.equal(withoutFinalNuls(text), text);
});
