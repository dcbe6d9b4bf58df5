import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ago, exactly, span } from './time.ts';

test('how long ago is said in the largest unit, rounded down', () => {
  const cases: readonly (readonly [number, string])[] = [
    [-5_000, 'just now'],
    [0, 'just now'],
    [1_999, 'just now'],
    [2_000, '2 s ago'],
    [59_999, '59 s ago'],
    [60_000, '1 min ago'],
    [3_599_999, '59 min ago'],
    [3_600_000, '1 h ago'],
    [86_400_000, '1 day ago'],
    [200_000_000, '2 days ago'],
  ];
  for (const [passed, text] of cases) assert.equal(ago(1e12, 1e12 + passed), text);
});

test('a length of time is never negative', () => assert.equal(span(-1), '0 s'));

test('the exact time names its zone', () => assert.equal(exactly(0), '1970-01-01 00:00:00 UTC'));
