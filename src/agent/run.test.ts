import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TpmClient } from '../tpm/index.ts';
import { EmbeddedTpm, inProcessTransport } from '../vtpm/index.ts';
import { loadIdentity } from './attest/identity.ts';
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

test('an agent that cannot start leaves nothing running', async (t) => {
  for (const [name, content] of [
    ['ak.public', Buffer.from('no key')],
    ['ima', Buffer.from('no folder')],
  ] as const) {
    const folder = mkdtempSync(join(tmpdir(), 'assay-run-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const embedded = await EmbeddedTpm.open(join(folder, 'tpm'), { durable: false });
    const tpm = new TpmClient(inProcessTransport(embedded, 'test', () => embedded.close()));
    const dataFolder = join(folder, 'data');
    const known = await loadIdentity(tpm, dataFolder);
    await known.ek.release();
    await known.ak.release();
    writeFileSync(join(known.folder, name), content);
    await assert.rejects(startHostAgent({ tpm, tpmKind: 'software', dataFolder }));
    assert.ok(!process.getActiveResourcesInfo().includes('ProcessWrap'));
    await tpm.close();
  }
});
