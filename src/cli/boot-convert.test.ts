import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeViolation } from '../../test/fixtures/ima-lists.ts';
import { digest, toHex } from '../bytes/index.ts';
import { encodeImaNgEntry, ListReplay } from '../ima/index.ts';
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

test('boot convert makes records of an IMA list, whose digests replay to what the list does', () => {
  const file = Buffer.alloc(32, 7);
  const list = Buffer.concat([
    encodeImaNgEntry(10, 'sha256', file, 'boot_aggregate').bytes,
    encodeImaNgEntry(10, 'sha256', file, '/usr/bin/true').bytes,
    encodeViolation('/tmp/x').bytes,
  ]);
  const run = spawnSync(process.execPath, [MAIN, 'boot', 'convert', '-', '--to', 'cel-json'], { input: list });
  assert.equal(run.status, 0, run.stderr.toString());
  const records = JSON.parse(run.stdout.toString());
  assert.deepEqual(
    records.map(({ pcr, content_type: type, content }: Record<string, Record<string, string>>) => [
      pcr,
      type,
      content?.template_name,
    ]),
    Array.from({ length: 3 }, () => [10, 'ima_template', 'ima-ng']),
  );
  const replay = new ListReplay({ banks: ['sha1', 'sha256'] });
  replay.run(list);
  for (const bank of ['sha1', 'sha256'] as const) {
    let value: Uint8Array = Buffer.alloc(bank === 'sha1' ? 20 : 32);
    for (const { digests } of records) {
      const { digest: hex } = digests.find(({ hashAlg }: Record<string, string>) => hashAlg === bank);
      value = digest(bank, value, Buffer.from(hex, 'hex'));
    }
    assert.equal(toHex(value), replay.pcrs()[bank]?.['10'], bank);
  }
});

test('an IMA list is no TCG event log, and boot convert says so', () => {
  const list = encodeImaNgEntry(10, 'sha256', Buffer.alloc(32, 7), 'boot_aggregate').bytes;
  const run = spawnSync(process.execPath, [MAIN, 'boot', 'convert', '-', '--to', 'log'], { input: list });
  assert.equal(run.status, 2);
  assert.match(run.stderr.toString(), /ima_template has no place in a TCG event log/);
});
