import assert from 'node:assert/strict';
import { test } from 'node:test';
import { visiblePieces, visibleText } from './visible.ts';

test('an ordinary path stays as it is, in one piece', () => {
  assert.deepEqual(visiblePieces('/usr/bin/na\u00efve \u05e9.so'), [
    { text: '/usr/bin/na\u00efve \u05e9.so', escaped: false },
  ]);
  assert.deepEqual(visiblePieces(''), []);
});

test('controls, line ends and terminal escapes are written out', () => {
  assert.equal(visibleText('a\nb\rc\td\0e\x1b[31mf\x7fg\x85'), 'a\\nb\\rc\\td\\0e\\x1b[31mf\\x7fg\\x85');
});

test('bidirectional controls cannot turn a name round', () => {
  for (const code of [0x61c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069]) {
    const shown = visibleText(`photo${String.fromCodePoint(code)}gpj.exe`);
    assert.equal(shown, `photo\\u${code.toString(16).padStart(4, '0')}gpj.exe`);
  }
});

test('what takes no room or looks like a space is written out', () => {
  assert.equal(visibleText('ls\u200b'), 'ls\\u200b');
  assert.equal(visibleText('ls\u00a0x'), 'ls\\xa0x');
  assert.equal(visibleText('ls\u3164'), 'ls\\u3164');
  assert.equal(visibleText('ls\ufeff\u2028'), 'ls\\ufeff\\u2028');
  assert.equal(visibleText('a\u{e0041}b'), 'a\\u{e0041}b');
  assert.equal(visibleText('x\ud800'), 'x\\ud800');
});

test('a space is seen where something stands on both sides of it', () => {
  assert.equal(visibleText('/a b/c '), '/a b/c\\x20');
  assert.equal(visibleText(' /a'), '\\x20/a');
});

test('an escape is told from a name that is spelled like one', () => {
  assert.deepEqual(visiblePieces('\\u202e\u202e'), [
    { text: '\\u202e', escaped: false },
    { text: '\\u202e', escaped: true },
  ]);
});
