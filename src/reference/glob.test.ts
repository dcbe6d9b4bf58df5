import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { pathMatcher } from './glob.ts';

const matches = (pattern: string, path: string): boolean => pathMatcher(pattern)(path);

test('a glob is anchored at both ends', () => {
  assert.ok(matches('/tmp', '/tmp'));
  assert.ok(!matches('/tmp', '/tmpevil'));
  assert.ok(!matches('/tmp/*', '/x/tmp/a'));
  assert.ok(!matches('/tmp/*', '/tmp'));
});

test('* stays within a name, ** crosses directories', () => {
  assert.ok(matches('/usr/lib/*.so', '/usr/lib/a.so'));
  assert.ok(!matches('/usr/lib/*.so', '/usr/lib/sub/a.so'));
  assert.ok(matches('/usr/**', '/usr/lib/sub/a.so'));
  assert.ok(matches('/usr/**/a.so', '/usr/lib/sub/a.so'));
});

test('characters of regular expressions stand for themselves, and newlines are characters', () => {
  assert.ok(!matches('/a.c', '/abc'));
  assert.ok(matches('/a[1]+(x)*', '/a[1]+(x)yz'));
  assert.ok(matches('/tmp/**', '/tmp/a\nb'));
  assert.ok(matches('/tmp/*', '/tmp/a\nb'));
  assert.ok(!matches('/tmp/a', '/tmp/a\n'));
  assert.ok(matches('/a\\*b*', '/a*bc'));
  assert.ok(!matches('/a\\*b*', '/axbc'));
});

test('a pattern with a space matches the name as the kernel lists it', () => {
  assert.ok(matches('/opt/a b', '/opt/a_b'));
  assert.ok(matches('/opt/a b/*', '/opt/a_b/c'));
  assert.ok(!matches('/opt/a_b', '/opt/a b'));
});

test('any text as a pattern without wildcards matches itself only', () => {
  const text = fc.string().filter((value) => !/[*\\ ]/.test(value));
  fc.assert(fc.property(text, text, (pattern, path) => matches(pattern, path) === (pattern === path)));
  fc.assert(fc.property(text, (value) => matches(`${value}*`, value)));
});
