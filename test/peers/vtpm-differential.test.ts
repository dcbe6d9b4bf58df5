/**
 * A hundred thousand commands to the software TPM and to swtpm, made from a seed, a quarter of them damaged: what succeeds
 * in the one succeeds in the other, and what they answer has the same structure. test/system/vtpm-differential.test.ts is
 * the short run. ASSAY_DIFFERENTIAL_SEED chooses another run than the usual one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  agreement,
  byCause,
  type Cause,
  describe,
  type Finding,
  type Report,
  runDifferential,
} from '../differential/index.ts';
import { requires } from '../system/requirements.ts';

const COMMANDS = 100_000;
const SEED = Number(process.env.ASSAY_DIFFERENTIAL_SEED ?? 20250729);

const percent = (part: number): string => `${(100 * part).toFixed(3)} %`;

function causeLine(cause: Cause | undefined, findings: readonly Finding[]): string {
  return cause === undefined
    ? `  ${findings.length} that nothing explains`
    : `  ${findings.length} ${cause.name} (${cause.section}): ${cause.why}`;
}

function tell(report: Report): void {
  const { seed, sent, succeeded, disagreements, otherCodes, counts, slowest } = report;
  const rarest = [...counts].sort(([, a], [, b]) => a.sent - b.sent).slice(0, 5);
  const lines = [
    `seed ${seed}: ${sent} commands, ${percent(succeeded / sent)} succeeded in both; ${percent(agreement(report))} agree`,
    `rarest: ${rarest.map(([name, { sent: count }]) => `${name} ${count}`).join(', ')}`,
    `slowest of the software TPM's: ${slowest.name}, ${slowest.ms.toFixed(0)} ms`,
    `${otherCodes.length} refused with another code:`,
    ...[...byCause(otherCodes)].map(([cause, findings]) => causeLine(cause, findings)),
    `${disagreements.length} done by one alone, or answered with another structure:`,
    ...[...byCause(disagreements)].map(([cause, findings]) => causeLine(cause, findings)),
    ...disagreements.map(describe),
  ];
  for (const line of lines) console.log(line);
}

test('the software TPM answers a hundred thousand commands as swtpm does', requires('swtpm'), async () => {
  const report = await runDifferential({ seed: SEED, commands: COMMANDS });
  tell(report);
  const { sent, succeeded, failures, otherCodes, counts } = report;
  assert.deepEqual(failures.map(describe), [], 'answered with TPM_RC_FAILURE');
  assert.ok(succeeded >= 0.3 * sent, `${succeeded} of ${sent} succeeded`);
  assert.ok(agreement(report) >= 0.999, percent(agreement(report)));
  const rare = [...counts]
    .filter(([, { sent: count }]) => count < 500)
    .map(([name, { sent: count }]) => `${name} ${count}`);
  assert.deepEqual(rare, [], 'sent fewer than 500 times');
  const causes = byCause(otherCodes);
  assert.deepEqual((causes.get(undefined) ?? []).map(describe), [], 'codes that nothing explains');
  assert.ok(causes.size <= 20, `${causes.size} causes`);
});
