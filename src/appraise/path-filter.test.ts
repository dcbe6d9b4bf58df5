import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathFilter } from './path-filter.ts';

test('a glob matches hidden names too', () => {
  const cases: readonly (readonly [glob: string, path: string, matches: boolean])[] = [
    ['var/log/**', 'var/log/.hidden', true],
    ['var/log/**', 'var/log/.folder/file', true],
    ['**/*.so', '.a/b.so', true],
    ['**/*.so', 'a/.b.so', true],
    ['*', '.x', true],
    ['.git/**', '.git/config', true],
    ['{.git,.svn}', '.svn', true],
    ['.*', 'x', false],
    ['.*', '.x', true],
    ['*', 'a/b', false],
    ['var/log/**', 'var/logs/x', false],
    ['*.so', 'a\nb.so', true],
  ];
  for (const [glob, path, matches] of cases) assert.equal(pathFilter(glob)(path), matches, `${glob} ${path}`);
});
