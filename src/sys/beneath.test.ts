import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FileStatus } from './beneath.ts';

test('a status tells what a file is, and the device that a device file stands for', () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-beneath-'));
  const root = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    writeFileSync(join(folder, 'file'), '');
    mkdirSync(join(folder, 'directory'));
    symlinkSync('file', join(folder, 'link'));
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    for (const type of ['file', 'directory', 'link', 'fifo']) {
      assert.equal(new FileStatus().beneath(root, Buffer.from(`${type}\0`)).type, type);
    }
    const device = new FileStatus().beneath(root, Buffer.from('/dev/null\0'));
    assert.equal(device.type, 'char-device');
    assert.equal(device.representedDevice, (1n << 32n) | 3n);
  } finally {
    closeSync(root);
    rmSync(folder, { recursive: true });
  }
});
