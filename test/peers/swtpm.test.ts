/**
 * swtpm's own scripts (tests/_test_tpm2_*) with `bin/assay-swtpm` in swtpm's place, and Debian's swtpm beside it. The suite is
 * not part of this repository: ASSAY_SWTPM_TESTS names a checkout of swtpm.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { requires, requiresPath } from '../system/requirements.ts';

const OURS = join(import.meta.dirname, '../../bin/assay-swtpm');

/** With which channels: TCP for both, or a Unix socket for control. Unix sockets for both need socat. */
const INTERFACES = ['socket+socket', 'socket+unix'] as const;

const SCRIPTS = [
  'getcap',
  'hashing',
  'hashing2',
  'hashing3',
  'init',
  'locality',
  'probe',
  'savestate',
  'setbuffersize',
  'volatilestate',
  'wrongorder',
  'save_load_state',
  'save_load_encrypted_state',
  'avoid_da_lockout',
  'swtpm_bios',
  'save_load_state_da_timeout',
] as const;

/**
 * What the installed swtpm does not do yet that the checkout's script asks for. What ours does not do is in none of the lists:
 * scripts over states of libtpms (derived_keys, encrypted_state, migration_key, resume_volatile), the print of all of swtpm's
 * capabilities, pcap, the descriptors of lock files.
 */
const NOT_BY_DEBIANS: readonly string[] = ['avoid_da_lockout'];

function run(program: string, script: string, channels: string) {
  const tests = join(process.env.ASSAY_SWTPM_TESTS ?? '', 'tests');
  const env = {
    ...process.env,
    SWTPM_EXE: program,
    SWTPM_IOCTL: 'swtpm_ioctl',
    SWTPM_BIOS: 'swtpm_bios',
    SWTPM_INTERFACE: channels,
    SWTPM_SERVER_NAME: 'localhost',
    SWTPM_SERVER_PORT: '65434',
    SWTPM_CTRL_PORT: '65435',
    SWTPM_IOCTL_BUFFERSIZE: '4096',
  };
  return spawnSync('bash', [`_test_tpm2_${script}`], { cwd: tests, env, encoding: 'utf8', timeout: 120_000 });
}

const needed = requiresPath('ASSAY_SWTPM_TESTS', 'a checkout of swtpm');

describe('swtpm’s scripts', { ...needed, ...(needed.skip === false && requires('swtpm', 'swtpm_ioctl')) }, () => {
  for (const script of SCRIPTS) {
    for (const channels of INTERFACES) {
      test(`${script}, ${channels}`, () => {
        const { status, stdout, stderr } = run(OURS, script, channels);
        assert.equal(status, 0, `${stdout.slice(-2000)}${stderr.slice(-2000)}`);
      });
    }
    test(`${script}: Debian’s swtpm ${NOT_BY_DEBIANS.includes(script) ? 'does not pass' : 'passes'}`, () => {
      assert.equal(run('swtpm', script, 'socket+socket').status === 0, !NOT_BY_DEBIANS.includes(script));
    });
  }
});
