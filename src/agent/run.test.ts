import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TpmClient } from '../tpm/index.ts';
import { startHostAgent } from './run.ts';

test('a data folder that others may write to is refused before the TPM is asked and anything is put there', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-run-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const dataFolder = join(folder, 'data');
  mkdirSync(dataFolder);
  chmodSync(dataFolder, 0o777);
  let commands = 0;
  const tpm = new TpmClient({
    description: 'not to be asked',
    async execute() {
      commands++;
      throw new Error('asked');
    },
    close: async () => undefined,
  });
  const started = startHostAgent({ tpm, tpmKind: 'software', dataFolder });
  await assert.rejects(started, { code: 'sys.folder-not-private' });
  assert.equal(commands, 0);
  assert.deepEqual(readdirSync(dataFolder), []);
});
