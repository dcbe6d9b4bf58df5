import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digest } from '../bytes/index.ts';
import { MACHINE_BOOT_LOG } from './boot-log-input.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const convert = (args: readonly string[], input = '') =>
  spawnSync(process.execPath, [MAIN, 'boot', 'convert', ...args], { encoding: 'utf8', input });

test('boot convert makes a canonical event log of what txt-stat prints', () => {
  const value = digest('sha256', Buffer.from('sinit'));
  const hex = [...value].map((byte) => `${byte.toString(16).padStart(2, '0')} `).join('');
  const event = `\t Event:\n\t PCRIndex: 17\n\t Type: 0x402\n\t Digest: ${hex}\n\t Data: 0 bytes\n`;
  const { status, stdout, stderr } = convert(
    ['-', '--to', 'cel-json'],
    `Intel(r) TXT Configuration Registers:\n${event}`,
  );
  assert.equal(status, 0, stderr);
  assert.match(stdout, new RegExp(Buffer.from(value).toString('hex'), 'i'));
});

test('without a file, boot convert wants the log of this machine', { skip: existsSync(MACHINE_BOOT_LOG) }, () => {
  const { status, stderr } = convert(['--to', 'cel-json']);
  assert.notEqual(status, 0);
  assert.match(stderr, /this machine shows no firmware log/);
});
