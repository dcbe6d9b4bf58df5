/** What was found of a file does not outlive a change through a shared mapping, which no time stamp tells. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { guarded, NO_KEYS, run } from '../fixtures/guarded.ts';
import { sign } from '../guest/labelled-files.ts';
import { makeSigningKey } from '../guest/signing-key.ts';
import { requiresMounts } from './requirements.ts';

const options = { ...requiresMounts(), timeout: 100_000 };
const CHANGER = join(import.meta.dirname, '../fixtures/change-by-mapping.ts');

interface Change {
  /** Exit status of the command in between. */
  readonly looked?: number;
  readonly outcome: unknown;
}

function change(program: string, ...between: readonly string[]): Change {
  return JSON.parse(execFileSync(process.execPath, [CHANGER, program, ...between], { encoding: 'utf8' }));
}

const PROGRAM = '#!/bin/sh\nexit 0\n';
const ROUNDS = 8;

const isChanged = (program: string): boolean => readFileSync(program, 'latin1').includes('exit 9');

test('a program changed through a shared mapping and executed at once is denied', options, async (t) => {
  const programs: string[] = [];
  const { guard, script } = await guarded(t, { policy: ['appraise func=BPRM_CHECK'] });
  for (let round = 0; round < ROUNDS; round++) {
    const program = script(`program-${round}`, PROGRAM);
    assert.equal(run(program), 0, 'what was found of it is kept');
    assert.deepEqual(change(program), { outcome: 'EPERM' });
    programs.push(program);
  }
  await guard.stop();
  assert.ok(programs.every(isChanged));
});

test('so it is where the program was looked at while the mapping stood', options, async (t) => {
  // Who opens it to read and write is not asked: then its label does not follow what is written (ima_check_last_writer).
  const programs: string[] = [];
  const { guard, script } = await guarded(t, {
    policy: ['appraise func=BPRM_CHECK', 'appraise func=FILE_CHECK mask=MAY_READ'],
  });
  for (let round = 0; round < ROUNDS; round++) {
    const program = script(`program-${round}`, PROGRAM);
    assert.equal(run(program), 0);
    assert.deepEqual(change(program, 'cat', program), { looked: 0, outcome: 'EPERM' });
    programs.push(program);
  }
  await guard.stop();
  assert.ok(programs.every(isChanged));
});

test('a signature does not follow what is written', options, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-mapping-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const key = makeSigningKey(folder, 'ima', ['rsa:2048']);
  const programs: string[] = [];
  const { guard, script } = await guarded(t, {
    policy: ['appraise func=BPRM_CHECK', 'appraise func=FILE_CHECK mask=MAY_READ'],
    keys: { ...NO_KEYS, keys: [{ bytes: key.certificate, source: 'key' }] },
  });
  for (let round = 0; round < 3; round++) {
    const program = script(`program-${round}`, PROGRAM);
    sign(key.signer)(program);
    assert.equal(run(program), 0);
    assert.deepEqual(change(program, 'cat', program), { looked: 0, outcome: 'EPERM' });
    programs.push(program);
  }
  await guard.stop();
  assert.ok(programs.every(isChanged));
});
