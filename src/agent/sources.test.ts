import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { kernelHasIma, readBootLog, readGrowing, readImaList, readUserspaceLog } from './sources.ts';

const SECURITYFS_MOUNTED = '30 23 0:7 / /sys/kernel/security rw - securityfs securityfs rw\n';

function makeRoot(t: { after(fn: () => void): void }, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'assay-sources-'));
  t.after(() => rmSync(root, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

test('logs are read whole, and a growing one from an offset', (t) => {
  const root = makeRoot(t, {
    'sys/kernel/security/ima/binary_runtime_measurements': '0123456789',
    'sys/kernel/security/tpm0/binary_bios_measurements': 'events',
    'run/log/systemd/tpm2-measure.log': 'records',
  });
  assert.equal(kernelHasIma(root), true);
  assert.deepEqual(readBootLog(root), { kind: 'bytes', bytes: Buffer.from('events') });
  assert.deepEqual(readImaList(7, root), { kind: 'part', offset: 7, bytes: Buffer.from('789') });
  assert.deepEqual(readImaList(10, root), { kind: 'part', offset: 10, bytes: Buffer.alloc(0) });
  assert.deepEqual(readImaList(99, root), { kind: 'part', offset: 99, bytes: Buffer.alloc(0) });
  assert.deepEqual(readUserspaceLog(0, root), { kind: 'part', offset: 0, bytes: Buffer.from('records') });
});

test('a part ends where it is told to, also below its offset', (t) => {
  const path = join(makeRoot(t, { list: '0123456789' }), 'list');
  const part = (offset: number, end: number) => readGrowing(path, offset, () => '', end);
  assert.deepEqual(part(2, 5), { kind: 'part', offset: 2, bytes: Buffer.from('234') });
  assert.deepEqual(part(5, 2), { kind: 'part', offset: 5, bytes: Buffer.alloc(0) });
});

test('an absent log comes with its likely reason', (t) => {
  const reasonOf = (files: Readonly<Record<string, string>>, read: (root: string) => object) => {
    const log = read(makeRoot(t, files));
    return 'reason' in log ? log.reason : log;
  };
  const ima = (root: string) => readImaList(0, root);
  const config = (text: string) => ({ [`boot/config-${release()}`]: `#\n${text}\n` });
  const mounted = { 'proc/self/mountinfo': SECURITYFS_MOUNTED };
  assert.match(String(reasonOf({}, ima)), /not mounted/);
  assert.match(String(reasonOf(config('CONFIG_IMA=y'), ima)), /CONFIG_SECURITYFS/);
  assert.match(String(reasonOf(config('CONFIG_SECURITYFS=y'), ima)), /CONFIG_IMA/);
  assert.match(String(reasonOf(mounted, ima)), /no IMA/);
  assert.match(String(reasonOf(config(''), readBootLog)), /CONFIG_TCG_TPM/);
  assert.match(String(reasonOf(mounted, readBootLog)), /no TPM/);
  const withTpm = { ...mounted, 'sys/class/tpm/tpm0/dev': '' };
  assert.match(String(reasonOf(withTpm, readBootLog)), /no UEFI, no ACPI table TPM2/);
  assert.match(String(reasonOf({ ...withTpm, 'sys/firmware/efi/systab': '' }, readBootLog)), /GRUB without shim/);
});

test('a log that may not be read is an error and not an absence', (t) => {
  const root = makeRoot(t, { 'sys/kernel/security/ima/binary_runtime_measurements': 'x' });
  chmodSync(join(root, 'sys/kernel/security/ima/binary_runtime_measurements'), 0);
  asNobody(root, () => assert.throws(() => readImaList(0, root), { code: 'agent.log-unreadable' }));
});

/** Root may read everything, so it looks as somebody who may not. */
function asNobody(root: string, look: () => void): void {
  const isRoot = process.getuid?.() === 0;
  chmodSync(root, 0o755);
  if (isRoot) process.seteuid?.(65534);
  try {
    look();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}
