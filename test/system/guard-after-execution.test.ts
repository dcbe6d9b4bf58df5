/** Who opens a program to write right after it was executed, while the guard still keeps writers away, is asked as a writer. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { guarded, NO_KEYS, run } from '../fixtures/guarded.ts';
import { sign } from '../guest/labelled-files.ts';
import { makeSigningKey } from '../guest/signing-key.ts';
import { requires, requiresMounts } from './requirements.ts';

const skip = requires('openssl').skip || requiresMounts().skip;
const options = { skip, timeout: 100_000 };
const append = (text: string, program: string): number | null =>
  spawnSync('sh', ['-c', 'echo "$1" >>"$2"', 'sh', text, program], { stdio: 'ignore' }).status;

test('a signed program is not written to', options, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-signed-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const key = makeSigningKey(folder, 'ima', ['rsa:2048']);
  const { script, findings } = await guarded(t, {
    policy: ['appraise fowner=0'],
    keys: { ...NO_KEYS, keys: [{ bytes: key.certificate, source: 'key' }] },
  });
  const program = script('program', '#!/bin/sh\n');
  sign(key.signer)(program);
  for (let round = 0; round < 3; round++) {
    assert.equal(run(program), 0);
    assert.notEqual(append('exit 7', program), 0);
  }
  assert.equal(run(program), 0);
  await delay(50);
  assert.deepEqual(
    findings.map(({ fault }) => fault.cause),
    Array(3).fill('signed-file-write'),
  );
});

test('the label of any other follows what is written', options, async (t) => {
  const { script, findings } = await guarded(t, { policy: ['appraise fowner=0'] });
  for (let round = 0; round < 10; round++) {
    const program = script(`program-${round}`, '#!/bin/sh\n');
    assert.equal(run(program), 0);
    assert.equal(append('exit 7', program), 0);
    assert.equal(run(program), 7);
  }
  assert.deepEqual(findings, []);
});
