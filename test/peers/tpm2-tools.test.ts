/**
 * The integration scripts that tpm2-tools' own authors wrote, against the software TPM and, for comparison, swtpm. The
 * suite is not part of this repository: ASSAY_TPM2_TOOLS_TESTS names a checkout of tpm2-tools at the tag of the installed
 * tools (5.4 for Debian 12). One script asks pkg-config for a TCTI: Debian's packages libtss2-dev and pkgconf.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { requires, requiresPath } from '../system/requirements.ts';
import { NEEDS_NO_TPM } from './tpm2-tools-no-tpm.ts';
import { type Make, runScript, type ScriptRun } from './tpm2-tools-suite.ts';

const suite = process.env.ASSAY_TPM2_TOOLS_TESTS ?? '';
const scripts = join(suite, 'test/integration/tests');
const absent = requiresPath('ASSAY_TPM2_TOOLS_TESTS', 'a checkout of tpm2-tools');
const isHere = suite !== '' && existsSync(scripts);
const inSuite = isHere ? readdirSync(scripts).filter((name) => name.endsWith('.sh')) : [];
const names = [...new Set([...inSuite, ...NEEDS_NO_TPM.keys()])].sort();

function table(make: Make, runs: ReadonlyMap<string, ScriptRun>): string[] {
  const all = [...runs.values()];
  const counted = (verdict: ScriptRun['verdict']) => all.filter((run) => run.verdict === verdict).length;
  const commands = all.reduce((sum, run) => sum + run.commands, 0);
  return [
    `${make}: ${counted('passed')} of ${all.length} passed, ${counted('failed')} failed, ${counted('timed out')} timed out, ` +
      `${counted('skipped')} skipped themselves, ${counted('no TPM reached')} reached no TPM; ${commands} commands arrived`,
    ...[...runs]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(
        ([name, run]) => `${make}: ${name}: ${run.verdict}, ${run.commands} commands${run.reason && `: ${run.reason}`}`,
      ),
  ];
}

/** Each script is a test of its own; two at a time. */
function runSuite(make: Make, program: { skip: string | false }, check: (name: string, run: ScriptRun) => void): void {
  const skip = absent.skip !== false ? absent.skip : program.skip;
  // One line where the suite is absent, not one for each script
  if (!isHere || skip !== false) {
    test(`tpm2-tools' integration scripts on ${make}`, { skip }, () => {
      assert.ok(isHere, `ASSAY_TPM2_TOOLS_TESTS: ${suite} holds no test/integration/tests`);
    });
    return;
  }
  describe(`tpm2-tools' integration scripts on ${make}`, { concurrency: 2 }, () => {
    const runs = new Map<string, ScriptRun>();
    for (const name of names) {
      test(name, async () => {
        const run = await runScript(suite, name, make);
        runs.set(name, run);
        check(name, run);
      });
    }
    after(() => {
      for (const line of table(make, runs)) console.log(line);
    });
  });
}

runSuite('assay', requires('tpm2_quote'), (name, run) => {
  const why = NEEDS_NO_TPM.get(name);
  if (why === undefined) assert.equal(run.verdict, 'passed', run.reason);
  else assert.notEqual(run.verdict, 'passed', `it is said that it needs no TPM: it ${why}`);
});

// The peer's own failures are no defect of ours: they are reported only
runSuite('swtpm', requires('tpm2_quote', 'swtpm'), () => undefined);
