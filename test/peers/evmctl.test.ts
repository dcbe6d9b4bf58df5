/**
 * ima-evm-utils' own scripts with `bin/evmctl` in evmctl's place. The suite is not part of this repository:
 * ASSAY_EVMCTL_TESTS names a checkout of ima-evm-utils, tag v1.6.2.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { requiresPath } from '../system/requirements.ts';

const OURS = join(import.meta.dirname, '../../bin/evmctl');

/** Cases that pass with Debian's evmctl 1.4; `SIGV1` tries signature format 1 too, which Debian's has. */
const SCRIPTS = [
  { script: 'ima_hash.test', environment: {}, atLeast: 12 },
  { script: 'sign_verify.test', environment: {}, atLeast: 138 },
  { script: 'sign_verify.test', environment: { SIGV1: '1' }, atLeast: 165 },
] as const;

describe("ima-evm-utils' scripts", requiresPath('ASSAY_EVMCTL_TESTS', 'a checkout of ima-evm-utils'), () => {
  let folder = '';

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'assay-ima-evm-utils-'));
    cpSync(join(process.env.ASSAY_EVMCTL_TESTS ?? '', 'tests'), join(folder, 'tests'), { recursive: true });
    mkdirSync(join(folder, 'src')); // where the scripts look for evmctl first
    writeFileSync(join(folder, 'src/evmctl'), `#!/bin/sh\nexec '${OURS}' "$@"\n`, { mode: 0o755 });
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const { script, environment, atLeast } of SCRIPTS) {
    const name = Object.keys(environment).length > 0 ? `${script} with ${JSON.stringify(environment)}` : script;
    test(`${name}: at least ${atLeast} cases pass, none fails`, () => {
      const { stdout } = spawnSync(join(folder, 'tests', script), {
        encoding: 'utf8',
        env: { ...process.env, ...environment },
      });
      const [, passed, failed] = /PASS: (\d+).*FAIL: (\d+)/.exec(stdout) ?? [];
      assert.equal(failed, '0', stdout.slice(-2000));
      assert.ok(Number(passed) >= atLeast, `${passed} passed`);
    });
  }
});
