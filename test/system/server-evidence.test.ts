/** "Do not believe us": the evidence that the server gives out, checked by tpm2-tools with the very line it prints. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { attest, enrol, startService } from '../fleet/service.ts';
import { requires } from './requirements.ts';

test('tpm2_checkquote accepts the evidence as files, and refuses it changed', requires('tpm2_checkquote'), async () => {
  await using service = await startService();
  const host = service.host({ name: 'web1' });
  const { token, hostId, challenge } = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  await attest(service.client, token, host.evidence(challenge));
  const viewer = await service.server.bearerToken('viewer', '');
  const folder = mkdtempSync(join(tmpdir(), 'assay-evidence-test-'));
  try {
    const { body } = await service.client.send(`/api/hosts/${hostId}/evidence/evidence.tar`, { token: viewer });
    writeFileSync(join(folder, 'evidence.tar'), body);
    const unpacked = spawnSync('tar', ['xf', 'evidence.tar'], { cwd: folder, encoding: 'utf8' });
    assert.equal(unpacked.status, 0, unpacked.stderr);
    const { command } = (await service.client.json(`/api/hosts/${hostId}/evidence`, { token: viewer })) as {
      command: string;
    };
    const checked = spawnSync('sh', ['-c', command], { cwd: folder, encoding: 'utf8' });
    assert.equal(checked.status, 0, checked.stderr);
    const other = command.replace(/-q ../, (option) => (option.endsWith('00') ? '-q 01' : '-q 00'));
    assert.notEqual(spawnSync('sh', ['-c', other], { cwd: folder }).status, 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
