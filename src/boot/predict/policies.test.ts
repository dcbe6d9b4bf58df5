import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sealingPolicy } from './policies.ts';
import type { Prediction } from './predict.ts';

const prediction = (pcr4: number, pcr8: number): Prediction => ({
  measurements: [],
  pcrs: { sha256: { 4: `${pcr4}`.padStart(64, '0'), 8: `${pcr8}`.padStart(64, '0') } },
  refusals: [{ pcr: 1, reason: 'a reason' }],
  warnings: [],
});

test('boots that are equal in the PCRs of a policy are one branch of it', () => {
  const boots = Array.from({ length: 20 }, (_, i) => prediction(4, i));
  assert.deepEqual(sealingPolicy(boots, 'sha256', [4]), sealingPolicy(boots.slice(0, 1), 'sha256', [4]));
  const [two] = sealingPolicy([...boots.slice(0, 2), ...boots.slice(0, 2)], 'sha256', [4, 8]);
  assert.equal(two?.kind === 'or' && two.branches.length, 2);
});

test('more boots than a policy has branches, and a PCR that is not predicted, are refused', () => {
  const boots = Array.from({ length: 9 }, (_, i) => prediction(4, i));
  assert.throws(() => sealingPolicy(boots, 'sha256', [8]), /9 boots differ in these PCRs, and a policy holds 8/);
  assert.throws(() => sealingPolicy(boots, 'sha256', [1]), /PCR 1 is not predicted: a reason/);
});
