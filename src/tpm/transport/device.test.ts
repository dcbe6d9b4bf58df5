import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TpmError } from '../errors.ts';
import { openDevice } from './device.ts';

/** TPM2_GetRandom of 8 bytes (Part 3, 16.1). */
const COMMAND = Buffer.from('80010000000c0000017b0008', 'hex');

const isNoTpm = (error: unknown): boolean =>
  error instanceof TpmError &&
  error.code === 'tpm.transport' &&
  error.exitCode === 3 &&
  /is no TPM/.test(error.message);

test('an ordinary file is no TPM, and not a byte of it is overwritten', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-device-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'precious');
  writeFileSync(path, 'precious');
  await assert.rejects(openDevice(path), isNoTpm);
  assert.equal(readFileSync(path, 'utf8'), 'precious');
});

for (const path of ['/dev/null', '/dev/zero']) {
  test(`a device that gives no response is no TPM: ${path}`, async () => {
    const device = await openDevice(path);
    await assert.rejects(device.execute(COMMAND), isNoTpm);
    await device.close();
  });
}
