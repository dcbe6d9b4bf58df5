/** `ima check --tpm`: what the agent listed on this machine, against the PCR 10 of the TPM that it extended. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const ASSAY = join(import.meta.dirname, '../../bin/assay');

function assay(...args: string[]): { status: number | null; json: Record<string, unknown> } {
  const { status, stdout } = spawnSync(ASSAY, [...args, '--json'], { encoding: 'utf8' });
  return { status, json: JSON.parse(stdout) };
}

test('the list of a first run replays to the PCR 10 that it extended, and a longer one does not', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-ima-check-'));
  t.after(() => rmSync(folder, { recursive: true }));
  assert.equal(assay('up', '--once', '--data', folder).status, 0);
  const [own = ''] = readdirSync(join(folder, 'agent')).filter((name) => name.startsWith('tpm-'));
  const lists = join(folder, 'agent', own, 'ima');
  const list = join(lists, readdirSync(lists).find((name) => name.endsWith('.ima')) ?? '');
  const tpm = `software:${join(folder, 'software-tpm')}`;
  const { status, json } = assay('ima', 'check', list, '--tpm', tpm);
  assert.deepEqual([status, json.ok], [0, true]);
  assert.match(JSON.stringify(json.bootAggregate), /"verdict":"matches"/);
  appendFileSync(list, Buffer.from('not an entry'));
  assert.equal(assay('ima', 'check', list, '--tpm', tpm).status, 2);
});
