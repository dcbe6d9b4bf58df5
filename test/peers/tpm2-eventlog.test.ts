/**
 * The golden YAML that tpm2-tools' authors publish for their logs (test/integration/fixtures of the checkout that
 * ASSAY_TPM2_TOOLS_TESTS names), event by event.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { differingPlaces, ourYaml, parseEventlogYaml } from '../fixtures/eventlog-yaml.ts';
import { requiresPath } from '../system/requirements.ts';

/** Fixtures that are no logs for us, with the reason. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  // Its vendor info lies behind the end that its Spec ID event gives itself; Linux goes by that end.
  'specid-vendordata.bin': /vendor info: needs 4 bytes, 0 are left/,
};

const folder = join(process.env.ASSAY_TPM2_TOOLS_TESTS ?? '', 'test/integration/fixtures');
const suite = requiresPath('ASSAY_TPM2_TOOLS_TESTS', 'a checkout of tpm2-tools');
const logs = existsSync(folder) ? readdirSync(folder).filter((name) => existsSync(join(folder, `${name}.yaml`))) : [];

describe('golden YAML of tpm2-tools', suite, () => {
  test('the checkout has its logs', () => assert.ok(logs.length >= 12, `${logs.length} in ${folder}`));
  for (const name of logs) {
    test(name, () => {
      const bytes = readFileSync(join(folder, name));
      const golden = readFileSync(join(folder, `${name}.yaml`), 'utf8');
      const version = golden.startsWith('---\nversion: 2\n') ? 2 : 1;
      const reason = REFUSED[name];
      if (reason !== undefined) assert.throws(() => ourYaml(bytes, version), reason);
      else assert.deepEqual(differingPlaces(parseEventlogYaml(ourYaml(bytes, version)), parseEventlogYaml(golden)), []);
    });
  }
});
