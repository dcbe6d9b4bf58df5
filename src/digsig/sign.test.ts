import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { test } from 'node:test';
import { digest, digestAlgorithms } from '../bytes/index.ts';
import {
  DigsigError,
  Keyring,
  keyId,
  openSigner,
  parseSignature,
  readPublicKeys,
  type Signer,
  signDigest,
  signDigestV1,
  signFileId,
  verifySignature,
} from './index.ts';

const FILE = Buffer.from('the file');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

function pem(key: KeyObject): Buffer {
  return Buffer.from(key.export({ type: key.type === 'public' ? 'spki' : 'pkcs8', format: 'pem' }));
}

const open = (key: KeyObject): Signer => openSigner({ key: pem(key), source: 'test.key' });
const keyringOf = (key: KeyObject): Keyring => new Keyring(readPublicKeys(pem(key), { source: 'test.pub' }));

for (const { name } of digestAlgorithms()) {
  test(`RSA over a ${name} digest is what crypto.verify takes for the file itself`, () => {
    const header = parseSignature(signDigest(open(rsa.privateKey), name, digest(name, FILE)));
    const opensslName = name === 'rmd160' ? 'ripemd160' : name;
    assert.equal(verify(opensslName, FILE, rsa.publicKey, header.signature), true);
    const request = { algorithm: name, digest: digest(name, FILE), type: 3 };
    assert.equal(verifySignature(keyringOf(rsa.publicKey), header, request).valid, true);
  });
}

for (const namedCurve of ['P-256', 'P-384', 'P-521', 'prime192v1']) {
  test(`ECDSA on ${namedCurve} is what crypto.verify takes for the file itself`, () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve });
    for (const algorithm of ['sha1', 'sha256', 'sha512'] as const) {
      const header = parseSignature(signDigest(open(privateKey), algorithm, digest(algorithm, FILE)));
      assert.equal(verify(algorithm, FILE, publicKey, header.signature), true);
      const request = { algorithm, digest: digest(algorithm, FILE), type: 3 };
      assert.equal(verifySignature(keyringOf(publicKey), header, request).valid, true);
    }
  });
}

test('SM2 signs the digest itself', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'SM2' });
  const signer = open(privateKey);
  assert.equal(signer.kind, 'sm2');
  const header = parseSignature(signDigest(signer, 'sm3', digest('sm3', FILE)));
  const request = { algorithm: 'sm3', digest: digest('sm3', FILE), type: 3 } as const;
  assert.equal(verifySignature(keyringOf(publicKey), header, request).valid, true);
});

test('format 3 signs type, algorithm and digest: another type is another signature', () => {
  const header = parseSignature(signFileId(open(rsa.privateKey), 6, 'sha256', digest('sha256', FILE)));
  assert.equal(header.version, 3);
  const signed = Buffer.concat([Buffer.of(6, 4), createHash('sha256').update(FILE).digest()]);
  assert.equal(verify('sha256', signed, rsa.publicKey, header.signature), true);
  const request = { algorithm: 'sha256', digest: digest('sha256', FILE) } as const;
  const keyring = keyringOf(rsa.publicKey);
  assert.equal(verifySignature(keyring, header, { ...request, type: 6 }).valid, true);
  assert.equal(verifySignature(keyring, header, { ...request, type: 3 }).valid, false);
});

test('format 1 covers its own header: a changed time is a changed signature', () => {
  const bytes = signDigestV1(open(rsa.privateKey), 'sha256', digest('sha256', FILE), 1_700_000_000);
  const request = { algorithm: 'sha256', digest: digest('sha256', FILE), type: 3 } as const;
  const keyring = keyringOf(rsa.publicKey);
  assert.equal(verifySignature(keyring, parseSignature(bytes), request).valid, true);
  bytes.writeUInt8(bytes.readUInt8(1) ^ 1, 1);
  assert.equal(verifySignature(keyring, parseSignature(bytes), request).valid, false);
});

test('format 1 refuses what it does not have', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  assert.throws(() => signDigestV1(open(ec.privateKey), 'sha1', digest('sha1', FILE), 0), /RSA alone/);
  assert.throws(() => signDigestV1(open(rsa.privateKey), 'md5', digest('md5', FILE), 0), /does not have md5/);
});

test('a digest of another size is refused, whoever signs or verifies it', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  for (const key of [rsa.privateKey, ec.privateKey]) {
    assert.throws(() => open(key).sign('sha256', Buffer.alloc(20)), DigsigError);
  }
});

test('an RSA key too short for the digest says so', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 512 });
  assert.throws(() => open(privateKey).sign('sha512', Buffer.alloc(64)), /too short/);
});

test('a key that is unknown, blacklisted or another gives its own fault', () => {
  const signer = open(rsa.privateKey);
  const header = parseSignature(signDigest(signer, 'sha256', digest('sha256', FILE)));
  const request = { algorithm: 'sha256', digest: digest('sha256', FILE), type: 3 } as const;
  const fault = (keyring: Keyring) => {
    const verdict = verifySignature(keyring, header, request);
    return verdict.valid ? undefined : verdict.fault;
  };
  assert.equal(fault(new Keyring()), 'unknown-key');
  const other = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const impostor = readPublicKeys(pem(other.publicKey), { source: 'other', keyId: signer.keyId });
  assert.equal(fault(new Keyring(impostor)), 'invalid-signature');
  const keyring = keyringOf(rsa.publicKey);
  keyring.blacklist({ keyId: signer.keyId, keyIdV1: signer.keyIdV1 });
  assert.equal(fault(keyring), 'blacklisted-key');
  const v1 = parseSignature(signDigestV1(signer, 'sha256', digest('sha256', FILE), 0));
  assert.deepEqual(verifySignature(keyring, v1, request), { valid: false, fault: 'blacklisted-key' });
  const sha1 = { algorithm: 'sha1', digest: digest('sha1', FILE), type: 3 } as const;
  assert.deepEqual(verifySignature(keyringOf(rsa.publicKey), header, sha1), {
    valid: false,
    fault: 'unsupported-algorithm',
  });
});

test('a keyring takes the same key twice, and not two keys of one id', () => {
  const keyring = keyringOf(rsa.publicKey);
  for (const key of readPublicKeys(pem(rsa.publicKey), { source: 'again' })) keyring.add(key);
  assert.equal(keyring.size, 1);
  const [there] = keyring;
  assert.ok(there !== undefined);
  const other = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const [clash] = readPublicKeys(pem(other.publicKey), { source: 'clash', keyId: keyId(there.keyId) });
  assert.ok(clash !== undefined);
  assert.throws(() => keyring.add(clash), /clash and test.pub are different keys/);
});

test('malformed RSA signatures are invalid, not errors', () => {
  const keyring = keyringOf(rsa.publicKey);
  const good = parseSignature(signDigest(open(rsa.privateKey), 'sha256', digest('sha256', FILE)));
  const request = { algorithm: 'sha256', digest: digest('sha256', FILE), type: 3 } as const;
  for (const signature of [Buffer.alloc(256), Buffer.alloc(256, 0xff), Buffer.alloc(1), good.signature.subarray(1)]) {
    const verdict = verifySignature(keyring, { ...good, signature }, request);
    assert.equal(verdict.valid, false);
  }
});
