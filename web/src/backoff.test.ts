import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoff } from './backoff.ts';

test('waits double and stop growing at half a minute', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7, 8, 5000].map((attempt) => backoff(attempt, 0)),
    [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000],
  );
});

test('chance takes off at most a quarter', () => {
  assert.equal(backoff(1, 0.9999), 375);
  assert.equal(backoff(9, 0.5), 26_250);
});
