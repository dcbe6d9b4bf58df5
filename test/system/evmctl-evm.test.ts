/** EVM labels of live files against evmctl, both directions, on an ext4 image that this test mounts. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { digest, fromHex, toHex } from '../../src/bytes/index.ts';
import { Keyring, openSigner, readPublicKeys, type Signer } from '../../src/digsig/index.ts';
import { appraiseEvm, EVM_XATTR, evmHmac, readEvmMetadata, signatureLabel } from '../../src/evm/index.ts';
import { encodeImaDigest } from '../../src/ima/index.ts';
import { fileSystem, inodeGeneration, setXattr } from '../../src/sys/index.ts';
import { requires } from './requirements.ts';

const programs = requires('evmctl', 'mkfs.ext4', 'openssl', 'unshare');
const UUID = 'd321692a-a5f5-4db6-8e28-0bd21c58e591';
const CONTENT = 'label\n';

/** Root with loop devices mounts; others skip. */
function mountImage(folder: string): string | undefined {
  const image = join(folder, 'image');
  const place = join(folder, 'mounted');
  mkdirSync(place);
  execFileSync('truncate', ['-s', '16M', image]);
  execFileSync('/usr/sbin/mkfs.ext4', ['-q', '-F', '-U', UUID, image]);
  return spawnSync('mount', ['-o', 'loop', image, place]).status === 0 ? place : undefined;
}

describe('EVM labels and evmctl', { skip: programs.skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-evmctl-'));
  const keyFile = join(folder, 'key.pem');
  const certificate = join(folder, 'certificate.der');
  let keyring: Keyring;
  let signer: Signer;
  let mounted: string | undefined;
  before(() => {
    const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', keyFile, '-outform', 'DER', '-out', certificate];
    execFileSync('openssl', ['req', '-x509', '-subj', '/CN=evm', ...made], { stdio: 'ignore' });
    keyring = new Keyring(readPublicKeys(readFileSync(certificate), { source: 'certificate.der' }));
    signer = openSigner({ key: readFileSync(keyFile), source: 'key.pem', certificate: readFileSync(certificate) });
    mounted = mountImage(folder);
  });
  after(() => {
    if (mounted !== undefined) execFileSync('umount', [mounted]);
    rmSync(folder, { recursive: true });
  });

  const missing = 'needs root and loop devices';

  function labelled(place: string, name: string): string {
    const file = join(place, name);
    writeFileSync(file, CONTENT);
    chownSync(file, 12, 34);
    chmodSync(file, 0o755);
    setXattr(file, 'security.ima', encodeImaDigest('sha256', digest('sha256', Buffer.from(CONTENT))));
    setXattr(file, 'security.selinux', Buffer.from('system_u:object_r:bin_t:s0'));
    return file;
  }

  test('the UUID and generation are those of e2fsprogs', (t) => {
    if (mounted === undefined) return t.skip(missing);
    assert.equal(toHex(fileSystem(mounted).uuid ?? Buffer.alloc(0)), UUID.replaceAll('-', ''));
    const file = labelled(mounted, 'generation');
    const [expected] = execFileSync('lsattr', ['-v', file], { encoding: 'utf8' }).trim().split(/\s+/);
    const { metadata } = readEvmMetadata(file);
    assert.equal(String(metadata.generation), expected);
    assert.throws(() => inodeGeneration(-1), { code: 'sys.call-failed' });
  });

  for (const portable of [false, true]) {
    const options = portable ? ['--portable'] : [`-u${UUID}`];
    test(`evmctl signs and we verify${portable ? ', portable' : ''}`, (t) => {
      if (mounted === undefined) return t.skip(missing);
      const file = labelled(mounted, `theirs-${portable}`);
      execFileSync('evmctl', ['sign', '-a', 'sha256', '--key', keyFile, ...options, file], { stdio: 'ignore' });
      const { metadata, label } = readEvmMetadata(file, { portable });
      assert.equal(appraiseEvm({ xattr: label, metadata, keyring }).status, portable ? 'pass_immutable' : 'pass');
    });

    test(`we sign and evmctl verifies${portable ? ', portable' : ''}`, (t) => {
      if (mounted === undefined) return t.skip(missing);
      const file = labelled(mounted, `ours-${portable}`);
      const { metadata } = readEvmMetadata(file, { portable });
      setXattr(file, EVM_XATTR, signatureLabel(signer, 'sha256', metadata, { portable }));
      const verify = () => spawnSync('evmctl', ['verify', '--key', certificate, ...options, file]).status;
      assert.equal(verify(), 0);
      chmodSync(file, 0o4755);
      assert.notEqual(verify(), 0, 'of a changed mode');
    });
  }

  test('the HMAC of a live file is that of evmctl, which leaves the UUID out', (t) => {
    if (mounted === undefined) return t.skip(missing);
    const file = labelled(mounted, 'hmac');
    const key = Buffer.alloc(64, 0x5a);
    writeFileSync(join(folder, 'hmac-key'), key);
    // evmctl 1.4 has the key's place built in: it gets an /etc of its own.
    const script =
      'mount -t tmpfs none /etc && mkdir /etc/keys && cp "$1" /etc/keys/evm-key-plain && evmctl hmac -v -a sha1 -n "$2"';
    const argv = ['-m', 'sh', '-c', script, 'sh', join(folder, 'hmac-key'), file];
    const { stdout, stderr } = spawnSync('unshare', argv, { encoding: 'utf8' });
    const theirs = /^hmac: ([0-9a-f]{40})$/m.exec(stdout + stderr)?.[1];
    assert.ok(theirs !== undefined, stderr);
    const { metadata } = readEvmMetadata(file);
    assert.deepEqual(evmHmac(key, metadata, { withUuid: false }), fromHex(theirs));
  });
});
