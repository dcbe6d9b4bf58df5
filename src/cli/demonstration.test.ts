/** Wherever the software TPM answers, a person reads that it protects nothing, and a program finds a field that says so. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { EmbeddedTpm, VtpmError } from '../vtpm/index.ts';
import { inUse, noteRunning } from './running.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const data = mkdtempSync(join(tmpdir(), 'assay-demonstration-'));
after(() => rmSync(data, { recursive: true, force: true }));

function assay(...args: readonly string[]) {
  const { ASSAY_TPM: _, ...env } = process.env;
  const software = ['--tpm', `software:${join(data, 'software-tpm')}`];
  return spawnSync(process.execPath, [MAIN, ...args, '--data', data, ...software], { encoding: 'utf8', env });
}

test('a software TPM that is made is told of on stderr; later it is named; JSON has the field instead', () => {
  const made = assay('tpm', 'info');
  assert.match(
    made.stderr,
    /^assay: made a software TPM in .* and beside it a CA .* demonstrates attestation and does not protect\n$/,
  );
  assert.match(
    assay('tpm', 'random', '4').stderr,
    /^assay: the software TPM .* demonstrates attestation and does not protect\n$/,
  );
  const { stdout, stderr } = assay('tpm', 'pcrs', '--json');
  assert.deepEqual([stderr, JSON.parse(stdout).demonstration], ['', true]);
});

test('a data folder that is in use names who uses it, where, and the ways out', async () => {
  const tpm = await EmbeddedTpm.open(join(data, 'software-tpm'));
  try {
    const locked = await EmbeddedTpm.open(join(data, 'software-tpm')).catch((error: unknown) => error);
    assert.ok(locked instanceof VtpmError);
    const unnamed = inUse(data, locked);
    assert.ok(unnamed instanceof Error && unnamed.message.includes(String(process.pid)));
    const forget = await noteRunning(data, 'assay up', 'http://127.0.0.1:1');
    const named = inUse(data, locked);
    assert.ok(named instanceof Error);
    assert.match(named.message, new RegExp(`assay up .*http://127.0.0.1:1 \\(process ${process.pid}\\)`));
    await forget();
  } finally {
    await tpm.close();
  }
});
