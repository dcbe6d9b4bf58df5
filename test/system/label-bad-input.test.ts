/** `assay label` on file systems that refuse: each refusal its own words, and the rest of the tree done. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { getXattr, setXattr } from '../../src/sys/index.ts';
import { requires } from './requirements.ts';

const ASSAY = join(import.meta.dirname, '../../bin/assay');
const ENV = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };

function run(program: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8', env: ENV });
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stderr}`);
}

function assay(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(ASSAY, args, { encoding: 'utf8' });
}

const labelOf = (...path: readonly string[]): Buffer | undefined => getXattr(join(...path), 'security.ima');

/** A loop mount needs root and a kernel that lets it. */
function mount(type: string, options: string, source: string, target: string): boolean {
  return spawnSync('mount', ['-t', type, '-o', options, source, target], { env: ENV }).status === 0;
}

interface Mounted {
  readonly folder: string;
  readonly tree: string;
  readonly remount: (options: string) => void;
}

function withExt4(
  t: { skip(why: string): void },
  megabytes: number,
  features: readonly string[],
  use: (mounted: Mounted) => void,
): void {
  const folder = mkdtempSync(join(tmpdir(), 'assay-label-fs-'));
  const tree = join(folder, 'mount');
  mkdirSync(tree);
  const image = join(folder, 'image');
  writeFileSync(image, '');
  truncateSync(image, megabytes * 2 ** 20);
  run('mkfs.ext4', '-q', ...features, image);
  if (!mount('ext4', 'loop', image, tree)) {
    rmSync(folder, { recursive: true });
    t.skip('needs root and loop mounts');
    return;
  }
  try {
    use({ folder, tree, remount: (options) => run('mount', '-o', `remount,${options}`, tree) });
  } finally {
    run('umount', tree);
    rmSync(folder, { recursive: true });
  }
}

test('a read-only file system', requires('mkfs.ext4'), (t) => {
  withExt4(t, 8, [], ({ tree, remount }) => {
    writeFileSync(join(tree, 'file'), 'content');
    remount('ro');
    const { status, stderr } = assay('label', tree);
    assert.equal(status, 1);
    assert.match(stderr, /^file: the file system is read-only; the label is as it was \[read-only\] \(EROFS\)$/m);
  });
});

test('a full disk: the old label stays, and what fits beside the file is done', requires('mkfs.ext4'), (t) => {
  // Inodes of 128 bytes hold no attributes: each file's need a block.
  withExt4(t, 8, ['-I', '128', '-m', '0'], ({ tree }) => {
    writeFileSync(join(tree, 'labelled'), 'content');
    run(ASSAY, 'label', tree, '--exclude', 'lost+found');
    const old = labelOf(tree, 'labelled');
    assert.ok(old !== undefined);
    // Another content: ext4 shares the blocks of equal attributes.
    writeFileSync(join(tree, 'unlabelled'), 'other');
    fill(join(tree, 'filler'));
    const grown = assay('label', tree, '--exclude', 'filler', '--json');
    const lines = grown.stdout.trim().split('\n');
    assert.equal(grown.status, 1);
    assert.deepEqual(JSON.parse(lines[0] ?? ''), { path: 'unlabelled', problem: 'disk-full', errno: 'ENOSPC' });
    assert.equal(JSON.parse(lines.at(-1) ?? '').changes.same, 1);
    assert.deepEqual(labelOf(tree, 'labelled'), old);
  });
});

function fill(path: string): void {
  const fd = openSync(path, 'w');
  try {
    for (const size of [1 << 16, 1 << 10]) {
      const part = Buffer.alloc(size);
      try {
        for (;;) writeSync(fd, part);
      } catch (error) {
        assert.equal(error instanceof Error && 'code' in error ? error.code : error, 'ENOSPC');
      }
    }
  } finally {
    closeSync(fd);
  }
}

test('no room beside the other attributes of a file', requires('mkfs.ext4'), (t) => {
  withExt4(t, 8, ['-I', '128', '-b', '1024'], ({ tree }) => {
    writeFileSync(join(tree, 'crowded'), 'content');
    writeFileSync(join(tree, 'free'), 'content');
    setXattr(join(tree, 'crowded'), 'user.large', Buffer.alloc(920));
    const { status, stderr } = assay('label', tree);
    assert.equal(status, 1);
    assert.match(stderr, /^crowded: the file system has no room .* \[no-xattr-room\]$/m);
    assert.equal(labelOf(tree, 'free')?.length, 34);
  });
});

test('where the second label does not fit, the first is as it was too', requires('mkfs.ext4', 'openssl'), (t) => {
  withExt4(t, 8, ['-I', '128', '-b', '1024'], ({ folder, tree }) => {
    const file = join(tree, 'file');
    writeFileSync(file, 'content');
    const [payload, key] = [join(folder, 'evm-key'), join(folder, 'key.pem')];
    writeFileSync(payload, Buffer.alloc(64, 7));
    run('openssl', 'genrsa', '-out', key, '2048');
    run(ASSAY, 'label', tree, '--evm', 'hmac', '--evm-key', payload);
    const labels = () => ['security.ima', 'security.evm'].map((name) => getXattr(file, name));
    const old = labels();
    // Beside it one signature of RSA-2048 fits into the block, and not two.
    setXattr(file, 'user.large', Buffer.alloc(500));
    const { status, stderr } = assay('label', tree, '--sign', key, '--evm', 'sign');
    assert.equal(status, 1);
    assert.match(stderr, /^file: the file system has no room .* \[no-xattr-room\]$/m);
    assert.deepEqual(labels(), old);
    run(ASSAY, 'label', tree, '--sign', key);
    assert.equal(getXattr(file, 'security.ima')?.[0], 3, 'alone it fits');
  });
});

test('a file that EVM cannot label keeps its label for IMA', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-label-fs-'));
  if (!mount('tmpfs', 'size=1m', 'none', folder)) {
    rmSync(folder, { recursive: true });
    t.skip('needs root');
    return;
  }
  try {
    const payload = join(folder, 'evm-key');
    writeFileSync(payload, Buffer.alloc(64, 7));
    const { status, stderr } = assay('label', folder, '--evm', 'hmac', '--evm-key', payload);
    assert.equal(status, 1);
    assert.match(stderr, /^evm-key: the file system has no inode generations, .* \[no-generation\]$/m);
    assert.equal(labelOf(payload), undefined);
  } finally {
    run('umount', folder);
    rmSync(folder, { recursive: true });
  }
});

test(
  'directories are labelled by what files hold, not by labels that could not be written',
  requires('mkfs.ext4', 'openssl'),
  (t) => {
    withExt4(t, 8, [], ({ folder, tree }) => {
      const [file, key, publicKey] = [join(tree, 'fixed'), join(folder, 'key.pem'), join(folder, 'key.pub')];
      run('openssl', 'genrsa', '-out', key, '2048');
      run('openssl', 'rsa', '-in', key, '-pubout', '-out', publicKey);
      writeFileSync(file, 'wanted');
      run(ASSAY, 'label', tree);
      writeFileSync(file, 'content');
      run('chattr', '+i', file);
      const { status, stderr } = assay('label', tree, '--sign', key, '--directories');
      assert.equal(status, 1);
      assert.match(stderr, /^fixed: .* \[not-permitted\] \(EPERM\)$/m);
      const judged = assay('appraise', tree, '--key', publicKey);
      assert.match(judged.stdout, /^fixed: invalid-hash/m);
      assert.match(judged.stdout, /^2 directories hold/m);
      run('chattr', '-i', file);
    });
  },
);

test('an attribute of 64 KB is replaced, and one beside it is no hindrance', requires('mkfs.ext4'), (t) => {
  withExt4(t, 64, ['-O', 'ea_inode', '-b', '4096'], ({ tree }) => {
    for (const name of ['own', 'beside']) writeFileSync(join(tree, name), 'content');
    setXattr(join(tree, 'own'), 'security.ima', Buffer.alloc(65536, 3));
    setXattr(join(tree, 'beside'), 'user.large', Buffer.alloc(65536));
    const bad = assay('appraise', tree, '--json');
    assert.match(
      bad.stdout,
      /"path":"own","cause":"invalid-signature-version"|"path":"own","cause":"invalid-signature"/,
    );
    const { status, stdout } = assay('label', tree, '--json');
    assert.equal(status, 0, stdout);
    assert.equal(labelOf(tree, 'own')?.length, 34);
    assert.equal(labelOf(tree, 'beside')?.length, 34);
  });
});

test('a file system without extended attributes', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-label-fs-'));
  if (!mount('ramfs', 'rw', 'none', folder)) {
    rmSync(folder, { recursive: true });
    t.skip('needs root');
    return;
  }
  try {
    writeFileSync(join(folder, 'file'), 'content');
    const { status, stderr } = assay('label', folder, '--xattr-user');
    assert.equal(status, 1);
    assert.match(stderr, /^file: the file system has no such extended attributes \[no-xattrs\] \(EOPNOTSUPP\)$/m);
  } finally {
    run('umount', folder);
    rmSync(folder, { recursive: true });
  }
});

test('an immutable file is not permitted, and its neighbour is labelled', requires('mkfs.ext4'), (t) => {
  withExt4(t, 8, [], ({ tree }) => {
    for (const name of ['fixed', 'free']) writeFileSync(join(tree, name), 'content');
    run('chattr', '+i', join(tree, 'fixed'));
    const { status, stderr } = assay('label', tree);
    assert.equal(status, 1);
    assert.match(stderr, /^fixed: the kernel does not permit .* \[not-permitted\] \(EPERM\)$/m);
    assert.equal(labelOf(tree, 'free')?.length, 34);
    run('chattr', '-i', join(tree, 'fixed'));
  });
});

test('one file system: what is mounted in the tree is left out', requires('mkfs.ext4'), (t) => {
  withExt4(t, 8, [], ({ folder, tree }) => {
    writeFileSync(join(tree, 'file'), 'content');
    writeFileSync(join(folder, 'other'), 'content');
    const { status, stdout } = assay(
      'label',
      folder,
      '--one-file-system',
      '--exclude',
      'image',
      '--json',
      '--xattr-user',
    );
    assert.equal(status, 0, stdout);
    assert.equal(JSON.parse(stdout).otherFileSystems, 1);
    assert.equal(getXattr(join(tree, 'file'), 'user.ima'), undefined);
  });
});

test('a file upon which another is mounted is another file system too', requires('mkfs.ext4'), (t) => {
  withExt4(t, 8, [], ({ folder, tree }) => {
    for (const name of ['over', 'beside']) writeFileSync(join(tree, name), 'content');
    writeFileSync(join(folder, 'other'), 'other');
    run('mount', '--bind', join(folder, 'other'), join(tree, 'over'));
    try {
      const { status, stdout, stderr } = assay('label', tree, '--one-file-system', '--json');
      assert.equal(status, 0, stdout + stderr);
      const { done, otherFileSystems } = JSON.parse(stdout);
      assert.deepEqual([done, otherFileSystems], [1, 1]);
    } finally {
      run('umount', join(tree, 'over'));
    }
    assert.deepEqual([labelOf(tree, 'over'), labelOf(tree, 'beside')?.length], [undefined, 34]);
  });
});

test('--fs: only files on file systems of that type', requires('mkfs.ext4'), (t) => {
  withExt4(t, 8, [], ({ tree }) => {
    const inner = join(tree, 'inner');
    mkdirSync(inner);
    assert.ok(mount('tmpfs', 'size=1m', 'none', inner));
    try {
      for (const name of ['outer', 'inner/file']) writeFileSync(join(tree, name), name);
      const bearsLabel = (): boolean[] => ['outer', 'inner/file'].map((name) => labelOf(tree, name) !== undefined);
      const ext4 = assay('label', tree, '--fs', 'ext4', '--json');
      assert.deepEqual([ext4.status, JSON.parse(ext4.stdout).otherFileSystems], [0, 1], ext4.stdout);
      assert.deepEqual(bearsLabel(), [true, false]);
      assert.equal(assay('label', 'clear', tree, '--fs', '0xef53').status, 0);
      assert.deepEqual(bearsLabel(), [false, false]);
      assert.equal(assay('label', tree, '--fs', 'ext4', '--fs', 'tmpfs').status, 0);
      assert.deepEqual(bearsLabel(), [true, true]);
      writeFileSync(join(inner, 'file'), 'changed');
      assert.equal(assay('appraise', tree, '--fs', 'ext4').status, 0);
      assert.match(assay('appraise', tree).stdout, /^inner\/file: invalid-hash/m);
      const unknown = assay('label', tree, '--fs', 'ext5');
      assert.equal(unknown.status, 2);
      assert.match(unknown.stderr, /file system 'ext5' is not known.*ext4/);
    } finally {
      run('umount', inner);
    }
  });
});

// Quota of a real file system needs CONFIG_QFMT_V2, which small kernels leave out: the answer is put in the call's place.
test('a used-up quota is told as such, however much of the disk is free', requires('strace'), () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-label-fs-'));
  try {
    for (const name of ['charged', 'old']) writeFileSync(join(folder, name), 'content');
    run(ASSAY, 'label', join(folder, 'old'), '--xattr-user');
    const inject = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=fsetxattr', '-e', 'inject=fsetxattr:error=EDQUOT'];
    const label = [ASSAY, 'label', folder, '--xattr-user'];
    const { status, stderr } = spawnSync('strace', [...inject, ...label], { encoding: 'utf8' });
    assert.equal(status, 1);
    assert.match(stderr, /^charged: the disk is full or the quota used up; .* \[disk-full\] \(EDQUOT\)$/m);
    assert.doesNotMatch(stderr, /^old/m, 'its label is right already');
    assert.equal(getXattr(join(folder, 'old'), 'user.ima')?.length, 34);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a file that is written all the while is named, and its neighbour is labelled', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-label-fs-'));
  const busy = join(folder, 'busy');
  writeFileSync(join(folder, 'calm'), 'content');
  const fd = openSync(busy, 'w');
  // Long to read, so that each reading sees a change: the writer below sleeps for less.
  ftruncateSync(fd, 256 << 20);
  closeSync(fd);
  const writer = spawn('sh', ['-c', 'while :; do printf x 1<>"$0"; sleep 0.02; done', busy], { stdio: 'ignore' });
  try {
    const { status, stderr } = assay('label', folder, '--xattr-user');
    assert.equal(status, 1);
    assert.match(stderr, /^busy: changed while it was hashed/m);
    assert.equal(getXattr(join(folder, 'calm'), 'user.ima')?.length, 34);
  } finally {
    writer.kill();
    rmSync(folder, { recursive: true });
  }
  assert.throws(() => readFileSync(busy));
});
