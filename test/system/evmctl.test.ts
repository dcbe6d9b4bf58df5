/** `bin/evmctl` beside Debian's evmctl 1.4: the same files, the same commands, each judging what the other wrote. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { getXattr, setXattr } from '../../src/sys/index.ts';
import { requires } from './requirements.ts';

const OURS = join(import.meta.dirname, '../../bin/evmctl');
const THEIRS = 'evmctl';
const isRoot = process.getuid?.() === 0;

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe('evmctl', requires('evmctl', 'openssl', 'getfattr'), () => {
  let folder = '';
  const path = (name: string): string => join(folder, name);

  function run(program: string, args: readonly string[], input = ''): Run {
    const { status, stdout, stderr } = spawnSync(program, args, { cwd: folder, encoding: 'utf8', input });
    return { status, stdout, stderr };
  }

  function passes(program: string, line: string, input = ''): Run {
    const result = run(program, line.split(' '), input);
    assert.equal(result.status, 0, `${program} ${line}: ${result.stderr}`);
    return result;
  }

  function file(name: string, content = 'content\n'): string {
    writeFileSync(path(name), content);
    return name;
  }

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'assay-evmctl-'));
    const certificate = '-new -nodes -x509 -subj /CN=test -outform DER -out k.cer -keyout k.key'.split(' ');
    execFileSync('openssl', ['req', ...certificate, '-newkey', 'rsa:2048'], { cwd: folder, stdio: 'ignore' });
    execFileSync('openssl', ['rsa', '-aes256', '-passout', 'pass:word', '-in', 'k.key', '-out', 'locked.key'], {
      cwd: folder,
      stdio: 'ignore',
    });
  });
  after(() => rmSync(folder, { recursive: true }));

  test('content that one signs the other verifies, in an attribute and in a file', () => {
    for (const [signs, verifies] of [
      [OURS, THEIRS],
      [THEIRS, OURS],
    ] as const) {
      const name = file('signed');
      passes(signs, `ima_sign --xattr-user --sigfile -k k.key ${name}`);
      passes(verifies, `ima_verify --xattr-user -k k.cer ${name}`);
      passes(verifies, `ima_verify --sigfile -k k.cer ${name}`);
      writeFileSync(path(name), 'another');
      assert.equal(run(verifies, ['ima_verify', '--xattr-user', '-k', 'k.cer', name]).status, 1);
    }
  });

  test('metadata that one signs the other verifies: ordinary, portable, of a 32-bit kernel, with numbers given', () => {
    const forms = ['', '--portable --imahash', '--m32', '--inode 7 --uid 1 --gid 2 --mode 33188', '--smack'];
    for (const form of forms) {
      const common = `--xattr-user --uuid --generation 5 ${form}`.trim();
      for (const [signs, verifies] of [
        [OURS, THEIRS],
        [THEIRS, OURS],
      ] as const) {
        const name = file('metadata');
        passes(signs, `sign ${common} -k k.key ${name}`);
        passes(verifies, `verify ${common.replace('--portable --imahash', '')} -k k.cer ${name}`.replaceAll('  ', ' '));
      }
    }
  });

  test('hashes are the same bytes', () => {
    for (const algorithm of ['sha1', 'md5', 'sha256', 'sha512', 'rmd160']) {
      const labels = [OURS, THEIRS].map((program) => {
        const name = file('both');
        passes(program, `ima_hash --xattr-user -a ${algorithm} ${name}`);
        return getXattr(path(name), 'user.ima')?.toString('hex');
      });
      assert.equal(labels[0], labels[1]);
    }
  });

  // evmctl 1.4 takes no key file here, so OpenSSL is the judge, and the kernel in a guest.
  test("an HMAC is OpenSSL's over attributes, numbers and UUID", { skip: isRoot ? false : 'needs root' }, () => {
    const name = file('sealed');
    writeFileSync(path('hmac.key'), Buffer.alloc(64, 7));
    setXattr(path(name), 'security.selinux', Buffer.from('a:label\0'));
    passes(OURS, `ima_hash ${name}`);
    const numbers = '--inode 7 --generation 5 --uid 1 --gid 2 --mode 33188';
    passes(OURS, `hmac ${numbers} --uuid=01234567-89ab-cdef-0123-456789abcdef --hmackey hmac.key ${name}`);
    const sealed = Buffer.concat([
      Buffer.from('a:label\0'),
      getXattr(path(name), 'security.ima') ?? Buffer.alloc(0),
      // inode, generation, uid, gid, mode and padding, then the UUID
      Buffer.from('070000000000000005000000010000000200000' + '0a48100000123456789abcdef0123456789abcdef', 'hex'),
    ]);
    const key = Buffer.concat([Buffer.alloc(64, 7), Buffer.alloc(64)]).toString('hex');
    const command = ['dgst', '-sha1', '-mac', 'HMAC', '-macopt', `hexkey:${key}`, '-binary'];
    const expected = execFileSync('openssl', command, { input: sealed });
    assert.equal(getXattr(path(name), 'security.evm')?.toString('hex'), `02${expected.toString('hex')}`);
  });

  test('a digest from sha256sum is signed alike; one from fsverity in format 3', () => {
    const digest = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    const line = `${digest}  name with space\n`;
    const [ours, theirs] = [OURS, THEIRS].map((program) => passes(program, 'sign_hash -k k.key', line).stdout);
    assert.equal(ours, theirs);
    const verity = passes(OURS, 'sign_hash --veritysig -k k.key', `sha256:${digest} name\n`).stdout;
    assert.match(verity, new RegExp(`^sha256:${digest} name 060304[0-9a-f]{8}0100[0-9a-f]{512}\n$`));
    const bad = run(OURS, ['sign_hash', '-k', 'k.key'], `short  a\n${line}`);
    assert.equal(bad.status, 1);
    assert.equal(bad.stdout, ours);
  });

  test('a locked key opens by option and by environment; a wrong word is said without the word', () => {
    const name = file('locked');
    passes(OURS, `ima_sign --xattr-user -k locked.key -pword ${name}`);
    passes(OURS, `ima_sign --xattr-user -k locked.key --pass=word ${name}`);
    const wrong = run(OURS, ['ima_sign', '--xattr-user', '-k', 'locked.key', '-psecret', name]);
    assert.equal(wrong.status, 125);
    assert.match(wrong.stderr, /passphrase/);
    assert.doesNotMatch(wrong.stderr, /secret/);
  });

  test('a file that fails under -r is told and makes the exit code 1; the others are labelled', () => {
    mkdirSync(path('tree/below'), { recursive: true });
    for (const name of ['tree/one', 'tree/below/two', 'tree/full']) file(name);
    // An ext4 inode has room for 4096 bytes of attributes: this one has none left
    setXattr(path('tree/full'), 'user.fill', Buffer.alloc(3900));
    const result = run(OURS, ['ima_hash', '-r', '--xattr-user', '-a', 'sha512', 'tree']);
    const isFull = getXattr(path('tree/full'), 'user.ima') === undefined;
    assert.equal(result.status, isFull ? 1 : 0);
    if (isFull) assert.match(result.stderr, /tree\/full: .*ENOSPC/);
    for (const name of ['tree/one', 'tree/below/two']) assert.ok(getXattr(path(name), 'user.ima') !== undefined);
  });

  test('attributes beyond 1024 bytes count', { skip: isRoot ? false : 'needs root: security attributes' }, () => {
    const name = file('long');
    setXattr(path(name), 'security.selinux', Buffer.alloc(1100, 0x61));
    passes(OURS, `sign --uuid -k k.key ${name}`);
    passes(OURS, `verify --uuid -k k.cer ${name}`);
    setXattr(path(name), 'security.selinux', Buffer.alloc(1100, 0x62));
    assert.equal(run(OURS, ['verify', '--uuid', '-k', 'k.cer', name]).status, 1);
  });

  test('keys that are none, commands and options that are none fail below 126', () => {
    const name = file('plain');
    const cases = [
      ['ima_sign', '-k', '/dev/zero', name],
      ['ima_sign', '-k', '/dev/null', name],
      ['ima_verify', '-k', '/dev/zero', name],
      ['ima_sign', '-a', 'SHA1', '-k', 'k.key', name],
      ['frobnicate'],
      ['ima_sign'],
      ['--no-such-option'],
      ['ima_boot_aggregate', '--pcrs', 'k.key'],
    ];
    for (const args of cases) {
      const { status, stderr } = run(OURS, args);
      assert.ok(status !== null && status > 0 && status < 126, `${args.join(' ')}: ${status} ${stderr}`);
      assert.doesNotMatch(stderr, /\n {4}at /, args.join(' '));
    }
  });

  test('a file that is not there, and a folder, are said by name', () => {
    mkdirSync(path('folder'), { recursive: true });
    for (const name of ['absent', 'folder']) {
      const { status, stderr } = run(OURS, ['ima_hash', '--xattr-user', name]);
      assert.equal(status, 125);
      assert.match(stderr, new RegExp(name));
    }
  });

  test('the boot aggregate of PCRs in a file, of each bank; text that holds none is refused', () => {
    const zeros = (size: number): string => '0'.repeat(2 * size);
    const lines = Array.from({ length: 10 }, (_, pcr) => `  ${pcr}: 0x${zeros(32)}`).join('\n');
    file('pcrs', `sha256:\n${lines}\n`);
    // SHA-256 over 320 zero bytes
    const expected = execFileSync('sh', ['-c', 'head -c 320 /dev/zero | sha256sum'], { encoding: 'utf8' }).slice(0, 64);
    assert.equal(passes(OURS, 'ima_boot_aggregate --pcrs sha256,pcrs').stdout, `sha256:${expected}\n`);
    file('nothing', 'hello\n');
    assert.notEqual(run(OURS, ['ima_boot_aggregate', '--pcrs', 'nothing']).status, 0);
  });
});
