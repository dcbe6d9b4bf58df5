import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { AssayError } from '../bytes/index.ts';
import { DigsigError, openSigner, readPublicKeys } from './index.ts';

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
const spki = publicKey.export({ type: 'spki', format: 'der' });
const isCode = (code: string) => (error: unknown) => error instanceof DigsigError && error.code === code;

test('a public key is the same in SPKI and PKCS#1, PEM and DER, and twice in a bundle', () => {
  const forms = [
    spki,
    publicKey.export({ type: 'pkcs1', format: 'der' }),
    Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })),
    Buffer.from(`for people\n${publicKey.export({ type: 'pkcs1', format: 'pem' })}`),
  ];
  const keys = forms.flatMap((bytes) => readPublicKeys(bytes, { source: 'form' }));
  assert.equal(keys.length, 4);
  assert.equal(new Set(keys.map((key) => key.keyId)).size, 1);
  assert.equal(new Set(keys.map((key) => key.fingerprint.toString('hex'))).size, 1);
  const both = Buffer.concat(forms.slice(2));
  assert.equal(readPublicKeys(both, { source: 'bundle' }).length, 2);
});

test('a private key opens from PKCS#8, PKCS#1 and SEC 1, PEM and DER', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
  const forms: (Buffer | string)[] = [
    privateKey.export({ type: 'pkcs8', format: 'der' }),
    privateKey.export({ type: 'pkcs1', format: 'der' }),
    privateKey.export({ type: 'pkcs1', format: 'pem' }),
    ec.export({ type: 'sec1', format: 'der' }),
    ec.export({ type: 'sec1', format: 'pem' }),
    ec.export({ type: 'pkcs8', format: 'pem' }),
  ];
  const kinds = forms.map((key) => openSigner({ key: Buffer.from(key), source: 'form' }));
  assert.deepEqual(
    kinds.map(({ kind, bits }) => `${kind} ${bits}`),
    ['rsa 1024', 'rsa 1024', 'rsa 1024', 'ec 384', 'ec 384', 'ec 384'],
  );
});

test('an encrypted key asks for its passphrase, refuses a wrong one, and never shows it', () => {
  const protection = { cipher: 'aes-256-cbc', passphrase: 'open sesame' };
  const forms: (Buffer | string)[] = [
    privateKey.export({ type: 'pkcs8', format: 'pem', ...protection }),
    privateKey.export({ type: 'pkcs8', format: 'der', ...protection }),
    privateKey.export({ type: 'pkcs1', format: 'pem', ...protection }),
  ];
  for (const key of forms.map((form) => Buffer.from(form))) {
    assert.equal(openSigner({ key, source: 'k', passphrase: 'open sesame' }).bits, 1024);
    assert.throws(() => openSigner({ key, source: 'k' }), isCode('digsig.passphrase'));
    assert.throws(
      () => openSigner({ key, source: 'k', passphrase: 'guessed words' }),
      (error) => isCode('digsig.passphrase')(error) && !String(error).includes('guessed'),
    );
  }
});

test('a signer’s source may be sent to another thread', () => {
  const pem = Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  for (const key of [pem, privateKey.export({ type: 'pkcs8', format: 'der' })]) {
    const source = { key, source: 'k' };
    assert.equal(openSigner(structuredClone(source)).keyId, openSigner(source).keyId);
  }
});

test('the key id that is given wins', () => {
  const key = privateKey.export({ type: 'pkcs8', format: 'der' });
  assert.equal(openSigner({ key, source: 'k', keyId: 0xaabbccdd }).keyId, 0xaabbccdd);
});

test('what is no key, or one that these signatures do not have, is refused by name', () => {
  const pem = Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  assert.throws(() => readPublicKeys(pem, { source: 'a.key' }), /a\.key: no public key: only PRIVATE KEY in it/);
  assert.throws(() => readPublicKeys(Buffer.alloc(0), { source: 'empty' }), isCode('digsig.not-a-key'));
  assert.throws(() => openSigner({ key: spki, source: 'a.pub' }), isCode('digsig.not-a-key'));
  assert.throws(() => openSigner({ key: Buffer.alloc(0), source: 'empty' }), isCode('digsig.not-a-key'));
  for (const other of [generateKeyPairSync('ed25519'), generateKeyPairSync('ec', { namedCurve: 'secp256k1' })]) {
    const key = Buffer.from(other.privateKey.export({ type: 'pkcs8', format: 'der' }));
    assert.throws(() => openSigner({ key, source: 'k' }), isCode('digsig.unsupported-key'));
    const der = other.publicKey.export({ type: 'spki', format: 'der' });
    assert.throws(() => readPublicKeys(der, { source: 'k' }), isCode('digsig.unsupported-key'));
  }
});

test('any bytes, and any change of a key, give keys or an error of ours', () => {
  const mutated = fc.tuple(fc.nat(spki.length - 1), fc.nat(255)).map(([at, value]) => {
    const bytes = Buffer.from(spki);
    bytes[at] = value;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), mutated), (bytes) => {
      try {
        readPublicKeys(bytes, { source: 'fuzz' });
      } catch (error) {
        assert.ok(error instanceof AssayError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});
