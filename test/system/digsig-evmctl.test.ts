/** Signatures against ima-evm-utils, both directions: every key type and hash that evmctl 1.4 has. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type DigestAlgorithm, digest } from '../../src/bytes/index.ts';
import {
  formatKeyId,
  Keyring,
  openSigner,
  parseSignature,
  readPublicKeys,
  signDigest,
  signDigestV1,
  verifySignature,
} from '../../src/digsig/index.ts';
import { getXattr, setXattr } from '../../src/sys/index.ts';
import { requires } from './requirements.ts';

const needed = requires('evmctl', 'openssl');

/** `openssl req -newkey` arguments. evmctl's buffers do not hold RSA-8192. */
const KEYS = {
  'rsa-1024': ['rsa:1024'],
  'rsa-2048': ['rsa:2048'],
  'rsa-4096': ['rsa:4096'],
  'p-192': ['ec', '-pkeyopt', 'ec_paramgen_curve:prime192v1'],
  'p-256': ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
  'p-384': ['ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1'],
  'p-521': ['ec', '-pkeyopt', 'ec_paramgen_curve:secp521r1'],
  sm2: ['sm2', '-sm3', '-sigopt', 'distid:1234567812345678'],
} as const;
type KeyName = keyof typeof KEYS;

const HASHES = ['md5', 'sha1', 'rmd160', 'sha224', 'sha256', 'sha384', 'sha512', 'sm3'] as const;

/** SM2 signs a digest of SM3; Debian's OpenSSL refuses RSA over one (`digest not allowed`). */
function hashesOf(key: KeyName): readonly DigestAlgorithm[] {
  if (key === 'sm2') return ['sm3'];
  return key.startsWith('rsa') ? HASHES.filter((hash) => hash !== 'sm3') : HASHES;
}

const CONTENT = Buffer.from('what is labelled\n');

interface Place {
  readonly file: string;
  readonly key: string;
  readonly certificate: string;
  readonly publicKey: string;
}

function place(t: TestContext, name: KeyName): Place {
  const folder = mkdtempSync(join(tmpdir(), 'assay-evmctl-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const paths = {
    file: join(folder, 'file'),
    key: join(folder, 'signing.key'),
    certificate: join(folder, 'signing.cer'),
    publicKey: join(folder, 'signing.pub'),
  };
  writeFileSync(paths.file, CONTENT);
  const request = ['-x509', '-nodes', '-batch', '-days', '1000', '-subj', `/CN=${name}`, '-outform', 'DER'];
  openssl('req', ...request, '-newkey', ...KEYS[name], '-out', paths.certificate, '-keyout', paths.key);
  openssl('pkey', '-in', paths.key, '-pubout', '-out', paths.publicKey);
  return paths;
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function evmctl(...args: string[]): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync('evmctl', args, { encoding: 'utf8' });
  return { status, stderr };
}

const keyringFrom = (file: string): Keyring => new Keyring(readPublicKeys(readFileSync(file), { source: file }));

for (const name of Object.keys(KEYS).filter((key): key is KeyName => Object.hasOwn(KEYS, key))) {
  test(`evmctl verifies what we sign with ${name}, with every hash, and not another content`, needed, (t) => {
    const { file, key, certificate } = place(t, name);
    const source = { key: readFileSync(key), source: key, certificate: readFileSync(certificate) };
    const signer = openSigner(source);
    for (const hash of hashesOf(name)) {
      setXattr(file, 'user.ima', Buffer.concat([Buffer.of(3), signDigest(signer, hash, digest(hash, CONTENT))]));
      const verified = evmctl('ima_verify', '--xattr-user', '--key', certificate, file);
      assert.equal(verified.status, 0, `${hash}: ${verified.stderr}`);
    }
    writeFileSync(file, 'changed');
    assert.notEqual(evmctl('ima_verify', '--xattr-user', '--key', certificate, file).status, 0);
  });

  test(`we verify what evmctl signs with ${name}, with every hash, and not another content`, needed, (t) => {
    const { file, key, certificate } = place(t, name);
    const keyring = keyringFrom(certificate);
    const [only] = keyring;
    for (const hash of hashesOf(name)) {
      const signed = evmctl('ima_sign', '--xattr-user', '-a', hash, '--key', key, file);
      assert.equal(signed.status, 0, `${hash}: ${signed.stderr}`);
      const header = parseSignature(getXattr(file, 'user.ima')?.subarray(1) ?? Buffer.alloc(0));
      assert.equal(header.keyId, only?.keyId, `${hash}: evmctl names the key as the certificate does`);
      const over = (content: Uint8Array) =>
        verifySignature(keyring, header, { algorithm: hash, digest: digest(hash, content), type: 3 }).valid;
      assert.deepEqual([over(CONTENT), over(Buffer.from('changed'))], [true, false], hash);
    }
  });
}

for (const hash of ['sha1', 'sha256'] as const) {
  test(`format 1 with ${hash}: evmctl and we verify each other`, needed, (t) => {
    const { file, key, publicKey } = place(t, 'rsa-2048');
    const keyring = keyringFrom(publicKey);
    assert.equal(evmctl('ima_sign', '--rsa', '--xattr-user', '-a', hash, '--key', key, file).status, 0);
    const header = parseSignature(getXattr(file, 'user.ima')?.subarray(1) ?? Buffer.alloc(0));
    const request = { algorithm: hash, digest: digest(hash, CONTENT), type: 3 };
    assert.equal(header.version, 1);
    assert.equal(verifySignature(keyring, header, request).valid, true);

    const signer = openSigner({ key: readFileSync(key), source: key });
    const ours = signDigestV1(signer, hash, digest(hash, CONTENT), 1_700_000_000);
    setXattr(file, 'user.ima', Buffer.concat([Buffer.of(3), ours]));
    const verified = evmctl('ima_verify', '--rsa', '--xattr-user', '--key', publicKey, file);
    assert.equal(verified.status, 0, verified.stderr);
  });
}

test('the key id is the SKID’s in a combined PEM and with a certificate, as evmctl has it', needed, (t) => {
  const { file, key, certificate } = place(t, 'rsa-1024');
  const combined = `${key}.pem`;
  const skid = ['-addext', 'subjectKeyIdentifier=12345678'];
  const request = ['req', '-x509', '-batch', '-key', key, '-subj', '/CN=skid', '-outform', 'PEM', ...skid];
  openssl(...request, '-out', certificate);
  writeFileSync(combined, Buffer.concat([readFileSync(key), readFileSync(certificate)]));
  assert.equal(evmctl('ima_sign', '--xattr-user', '--key', combined, file).status, 0);
  const theirs = parseSignature(getXattr(file, 'user.ima')?.subarray(1) ?? Buffer.alloc(0));
  const ours = openSigner({ key: readFileSync(combined), source: combined });
  assert.deepEqual([formatKeyId(ours.keyId), theirs.keyId], ['12345678', ours.keyId]);
  const withCertificate = { key: readFileSync(key), source: key, certificate: readFileSync(certificate) };
  assert.equal(openSigner(withCertificate).keyId, ours.keyId);
});

test('an encrypted key made by OpenSSL opens with its passphrase', needed, (t) => {
  const { key } = place(t, 'p-256');
  for (const form of [['pkcs8', '-topk8'], ['ec']]) {
    const cipher = form[0] === 'ec' ? ['-aes256'] : ['-v2', 'aes-256-cbc'];
    const out = `${key}.${form[0]}`;
    openssl(...form, '-in', key, ...cipher, '-passout', 'pass:secret words', '-out', out);
    const opened = openSigner({ key: readFileSync(out), source: out, passphrase: 'secret words' });
    assert.equal(opened.keyId, openSigner({ key: readFileSync(key), source: key }).keyId);
  }
});

test('a certificate of another key is refused', needed, (t) => {
  const { key } = place(t, 'p-256');
  const { certificate } = place(t, 'p-256');
  const source = { key: readFileSync(key), source: key, certificate: readFileSync(certificate) };
  assert.throws(() => openSigner(source), /another key's/);
});

test('RSA-8192, which evmctl cannot hold, signs and verifies', needed, (t) => {
  const { key, certificate } = place(t, 'rsa-1024');
  // Two primes of 4096 bits take minutes; four of 2048 are the same size of modulus (RFC 8017, 3.1).
  openssl(
    'genpkey',
    '-algorithm',
    'RSA',
    '-pkeyopt',
    'rsa_keygen_bits:8192',
    '-pkeyopt',
    'rsa_keygen_primes:4',
    '-out',
    key,
  );
  openssl('req', '-x509', '-batch', '-key', key, '-subj', '/CN=big', '-outform', 'DER', '-out', certificate);
  const signer = openSigner({ key: readFileSync(key), source: key, certificate: readFileSync(certificate) });
  const header = parseSignature(signDigest(signer, 'sha512', digest('sha512', CONTENT)));
  assert.deepEqual([signer.bits, header.signature.length], [8192, 1024]);
  const request = { algorithm: 'sha512', digest: digest('sha512', CONTENT), type: 3 } as const;
  assert.equal(verifySignature(keyringFrom(certificate), header, request).valid, true);
});
