/** EVM labels of a tree: by `assay label`, verified by evmctl where it can and by `assay appraise`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { getXattr, setXattr } from '../../src/sys/index.ts';
import { requires } from './requirements.ts';

const ASSAY = join(import.meta.dirname, '../../bin/assay');

function run(program: string, ...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(program, args, { encoding: 'utf8' });
}

function ok(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = run(program, ...args);
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

/** Root on a file system with `security.` attributes and inode generations. */
function withTree(
  t: { skip(why: string): void },
  use: (folder: string, tree: string, key: string, certificate: string) => void,
) {
  const folder = mkdtempSync(join(tmpdir(), 'assay-label-evm-'));
  const tree = join(folder, 'tree');
  ok('mkdir', tree);
  try {
    for (const name of ['one', 'two']) writeFileSync(join(tree, name), name);
    try {
      setXattr(join(tree, 'one'), 'security.ima', Buffer.of(4));
    } catch {
      t.skip('needs root and a file system with security attributes');
      return;
    }
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'cert.der')];
    const made = [
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      '/CN=evm',
      '-keyout',
      key,
      '-outform',
      'DER',
      '-out',
      certificate,
    ];
    ok('openssl', 'req', '-x509', ...made);
    use(folder, tree, key, certificate);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test(
  'portable signatures verify with evmctl and with us, and a changed mode is found',
  requires('evmctl', 'openssl'),
  (t) => {
    withTree(t, (_folder, tree, key, certificate) => {
      ok(ASSAY, 'label', tree, '--sign', key, '--cert', certificate, '--evm', 'portable');
      for (const name of ['one', 'two']) {
        assert.equal(getXattr(join(tree, name), 'security.evm')?.[0], 5);
        ok('evmctl', 'verify', '-o', '-k', certificate, join(tree, name));
      }
      const judge = ['appraise', tree, '--key', certificate, '--evm-key', certificate];
      ok(ASSAY, ...judge);
      chmodSync(join(tree, 'two'), 0o777);
      const { status, stdout } = run(ASSAY, ...judge);
      assert.equal(status, 1);
      assert.match(
        stdout,
        /^two: invalid-fail-immutable: expected .*, found a signature of other metadata, or by another key$/m,
      );
    });
  },
);

test('HMACs hold by the key that made them and by no other; a second run leaves them', requires('openssl'), (t) => {
  withTree(t, (folder, tree) => {
    const [key, other] = [join(folder, 'evm-key'), join(folder, 'other-key')];
    writeFileSync(key, Buffer.alloc(64, 7));
    writeFileSync(other, Buffer.alloc(64, 8));
    ok(ASSAY, 'label', tree, '--evm', 'hmac', '--evm-key', key);
    assert.equal(getXattr(join(tree, 'one'), 'security.evm')?.length, 21);
    const again = (...more: readonly string[]) =>
      JSON.parse(ok(ASSAY, 'label', tree, '--evm', 'hmac', '--evm-key', key, '--json', ...more)).changes;
    assert.equal(again().same, 2);
    ok('setfattr', '-x', 'security.evm', join(tree, 'one'));
    for (const changes of [again('--dry-run'), again()]) assert.deepEqual([changes.same, changes.replaced], [1, 1]);
    ok(ASSAY, 'appraise', tree, '--evm-key', key);
    const { status, stdout } = run(ASSAY, 'appraise', tree, '--evm-key', other);
    assert.equal(status, 1);
    assert.match(stdout, /^one: invalid-HMAC: expected .*, found an HMAC of other metadata, or by another key$/m);
    // struct vfs_cap_data, revision 2 (linux/capability.h), which the kernel checks.
    setXattr(join(tree, 'two'), 'security.capability', Buffer.from('0000000200040000000000000000000000000000', 'hex'));
    assert.match(run(ASSAY, 'appraise', tree, '--evm-key', key).stdout, /^two: invalid-HMAC/m);
    ok('setfattr', '-x', 'security.evm', join(tree, 'two'));
    assert.match(run(ASSAY, 'appraise', tree, '--evm-key', key).stdout, /^two: missing-HMAC.*found none$/m);
  });
});

test('EVM covers directory labels where its attribute is among those that it protects', requires('openssl'), (t) => {
  withTree(t, (folder, tree, key, certificate) => {
    const payload = join(folder, 'evm-key');
    writeFileSync(payload, Buffer.alloc(64, 7));
    const cover = ['--evm-xattr', 'security.assay.dir'];
    const cases = [
      [['--evm', 'hmac', '--evm-key', payload], payload],
      [['--evm', 'sign', '--evm-key', key, '--evm-cert', certificate], certificate],
    ] as const;
    for (const [labelling, judgedBy] of cases) {
      const labelled = ok(ASSAY, 'label', tree, '--directories', ...labelling, ...cover);
      assert.doesNotMatch(labelled, /unprotected/);
      const judge = ['appraise', tree, '--evm-key', judgedBy, ...cover];
      const held = ok(ASSAY, ...judge);
      assert.match(held, /1 directories hold|1 directory/);
      assert.doesNotMatch(held, /unprotected/);
      // Somebody without the key writes the label anew, over what they put there.
      writeFileSync(join(tree, 'three'), 'three');
      const before = getXattr(tree, 'security.evm');
      ok(ASSAY, 'label', tree, '--directories');
      assert.deepEqual(getXattr(tree, 'security.evm'), before);
      const attacked = run(ASSAY, ...judge);
      assert.equal(attacked.status, 1);
      assert.match(attacked.stdout, /^\.: invalid-directory-evm: /m, attacked.stdout);
      rmSync(join(tree, 'three'));
    }
    const portable = run(ASSAY, 'label', tree, '--sign', key, '--directories', '--evm', 'portable', ...cover);
    assert.equal(portable.status, 2);
    assert.match(portable.stderr, /does not cover directories/);
  });
});
