/** The control channel: swtpm answers as the stories say, and our TPM does. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { memoryStore, PoweredTpm, serveSwtpmSocket } from '../../src/vtpm/index.ts';
import { differences, STORIES, tell } from '../fixtures/control-exchanges.ts';
import { runBareSwtpm } from '../fixtures/running-swtpm.ts';
import { requires } from './requirements.ts';

const folder = mkdtempSync(join(tmpdir(), 'assay-control-'));
after(() => rmSync(folder, { recursive: true, force: true }));

for (const [what, story] of Object.entries(STORIES)) {
  test(`swtpm: ${what}`, requires('swtpm'), async () => {
    await using swtpm = await runBareSwtpm();
    assert.deepEqual(differences(story, await tell(story, swtpm.channels)), []);
  });

  test(`ours: ${what}`, async () => {
    const control = { path: join(folder, 'control') };
    const data = { path: join(folder, 'data') };
    const tpm = new PoweredTpm(memoryStore('a test'));
    const socket = await serveSwtpmSocket(tpm, {
      control: { kind: 'unix', ...control },
      data: { kind: 'unix', ...data },
    });
    try {
      assert.deepEqual(differences(story, await tell(story, { control, data })), []);
    } finally {
      await socket.close();
    }
  });
}
