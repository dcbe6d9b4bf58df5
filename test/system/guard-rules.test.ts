/** Rules that ask who accesses, and whose the file is; and measurements that a real TPM holds. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pcrBanks } from '../../src/agent/index.ts';
import { toHex } from '../../src/bytes/index.ts';
import { ListReplay } from '../../src/ima/index.ts';
import { readPcrs } from '../../src/tpm/index.ts';
import { ended, guardProcess } from '../fixtures/guard-process.ts';
import { guarded, label, NO_KEYS, rulesOf, run } from '../fixtures/guarded.ts';
import { runSwtpm } from '../fixtures/running-swtpm.ts';
import { requires, requiresMounts } from './requirements.ts';

const options = { ...requiresMounts(), timeout: 100_000 };
const NOBODY = 65534;

interface Who {
  readonly uid?: number;
  readonly gid?: number;
}

test('rules by who executes, who owns the file, and as whom a program will run', options, async (t) => {
  const { folder, tree, guard, findings } = await guarded(t, { policy: ['appraise func=BPRM_CHECK fowner=4242'] });
  chmodSync(folder, 0o755); // others have to come by
  /** Without a label, so that it runs where no rule asks for one. */
  const bare = (name: string, { uid = 0, gid = 0 }: Who, mode = 0o755): string => {
    const path = join(tree, name);
    copyFileSync('/bin/true', path);
    chownSync(path, uid, gid);
    chmodSync(path, mode);
    return path;
  };
  const runAs = (path: string, who: Who): boolean => spawnSync(path, { stdio: 'ignore', ...who }).status === 0;
  const plain = bare('plain', {});
  const ofNobody = bare('of-nobody', { uid: NOBODY });
  const ofGroup = bare('of-group', { gid: 77 });
  const setuid = bare('setuid', {}, 0o4755);
  const root = {};
  const nobody = { uid: NOBODY, gid: NOBODY };

  /** What runs under a rule, of everything that is tried. */
  const TRIALS: readonly (readonly [rule: string, runs: readonly boolean[]])[] = [
    ['func=BPRM_CHECK uid=0', [false, true, false, false, false, true]],
    ['func=BPRM_CHECK uid>0', [true, false, true, true, true, false]],
    [`func=BPRM_CHECK euid=${NOBODY}`, [true, false, true, true, true, false]],
    [`func=BPRM_CHECK gid=${NOBODY}`, [true, false, true, true, true, false]],
    [`func=BPRM_CHECK egid=0`, [false, true, false, false, false, true]],
    [`func=BPRM_CHECK fowner=${NOBODY}`, [true, true, false, true, true, true]],
    ['func=BPRM_CHECK fgroup=77', [true, true, true, false, true, true]],
    ['func=BPRM_CHECK fowner<100', [false, false, true, false, false, false]],
    // With the rights of the new program: those of its owner where it is setuid.
    ['func=CREDS_CHECK euid=0', [false, true, false, false, false, false]],
    [`func=CREDS_CHECK euid=${NOBODY}`, [true, false, true, true, true, true]],
    // Nobody has such labels here.
    ['func=BPRM_CHECK obj_type=etc_t', [true, true, true, true, true, true]],
  ];
  const tried: readonly (readonly [string, Who])[] = [
    [plain, root],
    [plain, nobody],
    [ofNobody, root],
    [ofGroup, root],
    [setuid, root],
    [setuid, nobody],
  ];
  for (const [rule, runs] of TRIALS) {
    await guard.reload({ rules: rulesOf(`appraise ${rule}`), mode: 'enforce', keys: NO_KEYS });
    // The second time from what is known of the file, which must not be taken for what is known of who asks.
    for (const round of ['first', 'known']) {
      assert.deepEqual(
        tried.map(([path, who]) => runAs(path, who)),
        runs,
        `${rule}, ${round}`,
      );
    }
  }
  assert.deepEqual([...new Set(findings.map(({ fault }) => fault.cause))], ['missing-hash']);
  assert.deepEqual(
    guard.status.notEnforced.map(({ line, func }) => [line, func]),
    [[1, 'BPRM_CHECK']],
  );
});

test('a TPM holds what was measured: PCR 10 is what the list replays to', {
  skip: options.skip || requires('swtpm').skip,
  timeout: options.timeout,
}, async (t) => {
  await using swtpm = await runSwtpm();
  const guard = await guardProcess(t, {
    policy: ['measure func=BPRM_CHECK', 'measure func=FILE_CHECK mask=MAY_READ pcr=11'],
    args: ['--mode', 'enforce', '--tpm', swtpm.name, '--template', 'ima-sig'],
    prepare: ({ tree }) => {
      for (const name of ['one', 'two']) copyFileSync('/bin/true', join(tree, name));
      label(join(tree, 'one'));
    },
  });
  for (let round = 0; round < 2; round++) {
    for (const name of ['one', 'two']) assert.equal(run(join(guard.tree, name)), 0);
    assert.equal(spawnSync('/bin/cat', [join(guard.tree, 'one')], { stdio: 'ignore' }).status, 0);
  }
  assert.equal(guard.command('stop').status, 0);
  await ended(guard.child);
  const folder = join(guard.data, 'guard/ima');
  const [list] = readdirSync(folder).filter((name) => name.endsWith('.ima'));
  const bytes = readFileSync(join(folder, list ?? ''));
  const tpm = await swtpm.client();
  const banks = await pcrBanks(tpm);
  assert.ok(banks.includes('sha256'));
  const replay = new ListReplay({ banks });
  assert.equal(replay.run(bytes).consumed, bytes.length);
  const { pcrs, entries } = replay.state();
  assert.ok(entries >= 3, `${entries}`);
  for (const bank of banks) {
    for (const pcr of await readPcrs(tpm, bank, [10, 11])) {
      assert.equal(pcrs[bank]?.[pcr.index], toHex(pcr.value), `${bank} ${pcr.index}`);
    }
  }
});
