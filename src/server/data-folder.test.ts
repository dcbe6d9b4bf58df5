import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startService } from '../../test/fleet/service.ts';
import { SysError } from '../sys/index.ts';

test('a data folder that others may write to is refused; one that they may read is tightened', async () => {
  const dataFolder = mkdtempSync(join(tmpdir(), 'assay-data-'));
  try {
    chmodSync(dataFolder, 0o777);
    await assert.rejects(
      startService({ dataFolder }),
      (error: unknown) => error instanceof SysError && error.code === 'sys.folder-not-private',
    );
    chmodSync(dataFolder, 0o755);
    await using _service = await startService({ dataFolder });
    assert.equal(statSync(dataFolder).mode & 0o777, 0o700);
    assert.equal(statSync(join(dataFolder, 'server', 'tls.pem')).mode & 0o777, 0o600);
  } finally {
    rmSync(dataFolder, { recursive: true, force: true });
  }
});
