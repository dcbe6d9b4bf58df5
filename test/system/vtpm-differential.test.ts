/**
 * The same commands to the software TPM and to swtpm, made from a seed and in part damaged: both do or refuse them, and
 * answer alike. A short run; test/peers/vtpm-differential.test.ts is the long one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agreement, byCause, describe, runDifferential, runPair, softwareSide } from '../differential/index.ts';
import { requires } from './requirements.ts';

test('the software TPM answers as swtpm does', requires('swtpm'), async () => {
  const report = await runDifferential({ seed: 20250729, commands: 4000 });
  assert.deepEqual(report.failures.map(describe), [], 'answered with TPM_RC_FAILURE');
  assert.ok(agreement(report) >= 0.999, report.disagreements.map(describe).join('\n'));
  assert.ok(report.succeeded >= 0.5 * report.sent, `${report.succeeded} of ${report.sent} succeeded`);
  assert.deepEqual((byCause(report.otherCodes).get(undefined) ?? []).map(describe), [], 'codes that nothing explains');
  const missing = [...report.counts].filter(([, { sent }]) => sent === 0).map(([name]) => name);
  assert.deepEqual(missing, [], 'commands that were never sent');
});

test('two software TPMs answer alike, and neither with a failure', async () => {
  const report = await runPair({
    seed: 7,
    commands: 4000,
    sides: () => Promise.resolve([softwareSide(), softwareSide()]),
  });
  assert.deepEqual(report.failures.map(describe), []);
  assert.deepEqual(report.disagreements.map(describe), []);
  assert.deepEqual(report.otherCodes.map(describe), []);
});
