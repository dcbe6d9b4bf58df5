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

/** By the definition, one token at a time; `memo` keeps it from being exponential. */
function matchesByDefinition(pattern: string, path: string): boolean {
  const tokens = pattern.match(/\\.|\*+|[^\\*]/gsu) ?? [];
  const memo = new Map<string, boolean>();
  const at = (token: number, char: number): boolean => {
    const key = `${token} ${char}`;
    const known = memo.get(key) ?? compute(token, char);
    memo.set(key, known);
    return known;
  };
  const compute = (token: number, char: number): boolean => {
    const now = tokens[token];
    if (now === undefined) return char === path.length;
    if (!now.startsWith('*')) return path[char] === now.at(-1) && at(token + 1, char + 1);
    if (at(token + 1, char)) return true;
    return char < path.length && (now !== '*' || path[char] !== '/') && at(token, char + 1);
  };
  return at(0, 0);
}

test('a glob matches what its definition says', () => {
  const pattern = fc.array(fc.constantFrom('a', 'b', '/', '*', '**', '\\*'), { maxLength: 10 }).map((p) => p.join(''));
  const path = fc.array(fc.constantFrom('a', 'b', '/', '*'), { maxLength: 12 }).map((p) => p.join(''));
  fc.assert(
    fc.property(pattern, path, (glob, name) => {
      assert.equal(pathMatcher(glob)(name), matchesByDefinition(glob, name));
    }),
    { numRuns: 3000 },
  );
});

test('no name makes a match long: 16 ** on a name of 4 KB, and names of 1 MB, end', () => {
  const many = `${'/**/a'.repeat(16)}*b`;
  assert.ok(!matches(many, `${'/a'.repeat(2048)}/cb`));
  assert.ok(matches(many, `${'/a'.repeat(2048)}b`));
  assert.ok(!matches('/usr/lib/**/*.so*', `/usr/lib/x/${'.so'.repeat(350_000)}/`));
  assert.ok(!matches('/**/a*a*a*a*a*b', `/x/${'a'.repeat(1 << 20)}`));
});
