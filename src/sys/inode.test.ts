import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { superblockUuid } from './file-system.ts';
import {
  fgetXattr,
  fileSystem,
  flistXattrs,
  fremoveXattr,
  fsetXattr,
  getXattr,
  inodeGeneration,
  isNativeAvailable,
  SysError,
  verityDigest,
} from './index.ts';
import { parseMountInfo } from './mounts.ts';

const native = { skip: isNativeAvailable() ? false : 'koffi does not load here' };

function temporaryFile(t: TestContext, content: string | Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), 'assay-inode-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'file');
  writeFileSync(file, content);
  return file;
}

function opened(t: TestContext, file: string): number {
  const fd = openSync(file, 'r');
  t.after(() => closeSync(fd));
  return fd;
}

test('attributes of an open file are the same as by path, at any size, and values do not share memory', native, (t) => {
  const file = temporaryFile(t, '');
  const fd = opened(t, file);
  try {
    fsetXattr(fd, 'user.first', Buffer.from('one'));
  } catch (error) {
    if (error instanceof SysError && error.errno === 'EOPNOTSUPP') return t.skip('no extended attributes here');
    throw error;
  }
  fsetXattr(fd, 'user.größe', Buffer.alloc(1200, 9));
  const first = fgetXattr(fd, 'user.first');
  assert.deepEqual(fgetXattr(fd, 'user.größe'), Buffer.alloc(1200, 9));
  assert.deepEqual(first, Buffer.from('one'), 'a later call must not write over an earlier value');
  assert.deepEqual(getXattr(file, 'user.größe'), Buffer.alloc(1200, 9));
  const names = flistXattrs(fd).filter((name) => name.startsWith('user.'));
  assert.deepEqual(names.sort(), ['user.first', 'user.größe']);
  assert.equal(fremoveXattr(fd, 'user.first'), true);
  assert.equal(fremoveXattr(fd, 'user.first'), false);
  assert.equal(fgetXattr(fd, 'user.first'), undefined);
});

test('an attribute name with a NUL byte is refused, not cut', native, (t) => {
  const fd = opened(t, temporaryFile(t, ''));
  assert.throws(() => fsetXattr(fd, 'user.a\0b', Buffer.of(1)), SysError);
  assert.throws(() => fgetXattr(fd, 'user.a\0b'), SysError);
});

test('a file system without generations, such as procfs, says so by a code of its own', native, (t) => {
  const fd = opened(t, '/proc/self/status');
  assert.throws(
    () => inodeGeneration(fd),
    (error) => error instanceof SysError && error.code === 'sys.not-supported' && error.exitCode === 3,
  );
});

test('a file without fs-verity has no verity digest', native, (t) => {
  assert.equal(verityDigest(opened(t, temporaryFile(t, 'x'))), undefined);
  assert.equal(verityDigest(opened(t, '/proc/self/status')), undefined);
});

test('procfs is told by its magic number and type, and has no UUID', native, () => {
  // linux/magic.h: PROC_SUPER_MAGIC
  assert.deepEqual(fileSystem('/proc/self/status'), { magic: 0x9fa0, type: 'proc', isReadOnly: false });
});

test('a mount is found by its number, with optional fields or without', () => {
  // After the examples of proc_pid_mountinfo(5).
  const text = [
    '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue',
    '136 35 0:44 / /a\\040b rw - fuse.sshfs host: rw',
  ].join('\n');
  const [local, remote] = parseMountInfo(text);
  assert.deepEqual(local, {
    id: '36',
    device: '98:0',
    path: '/mnt2',
    type: 'ext3',
    source: '/dev/root',
    isReadOnly: false,
  });
  assert.deepEqual([remote?.id, remote?.device, remote?.type, remote?.source], ['136', '0:44', 'fuse.sshfs', 'host:']);
});

const UUID = Buffer.from('0123456789abcdeffedcba9876543210', 'hex');

for (const [name, magicAt, magic, uuidAt] of [
  ['ext4', 0x438, '53ef', 0x468],
  ['xfs', 0, '58465342', 32],
  ['btrfs', 0x10040, '5f42485266535f4d', 0x10020],
] as const) {
  test(`the UUID of ${name} lies in its superblock`, (t) => {
    const image = Buffer.alloc(70000);
    Buffer.from(magic, 'hex').copy(image, magicAt);
    UUID.copy(image, uuidAt);
    assert.deepEqual(superblockUuid(temporaryFile(t, image)), UUID);
  });
}

test('a device that is cut short or holds none of them has no UUID', (t) => {
  const cut = Buffer.alloc(0x468 + 10);
  Buffer.from('53ef', 'hex').copy(cut, 0x438);
  assert.equal(superblockUuid(temporaryFile(t, cut)), undefined);
  assert.equal(superblockUuid(temporaryFile(t, 'nothing')), undefined);
  assert.equal(superblockUuid('/no/such/device'), undefined);
});
