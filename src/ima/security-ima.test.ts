import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DigestAlgorithm, digest, fromHex, ParseError } from '../bytes/index.ts';
import { Keyring, openSigner, readPublicKeys, signDigest, signDigestV1, signFileId } from '../digsig/index.ts';
import {
  appraiseIma,
  encodeImaDigest,
  encodeImaSignature,
  type ImaAppraisal,
  type ImaResult,
  parseImaXattr,
} from './index.ts';

const CONTENT = Buffer.from('label\n');
const fileDigest = (algorithm: DigestAlgorithm): Buffer => digest(algorithm, CONTENT);
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const signer = openSigner({ key: privateKey.export({ type: 'pkcs8', format: 'der' }), source: 'test' });
const spki = signer.publicKey.export({ type: 'spki', format: 'der' });
const keyring = new Keyring(readPublicKeys(spki, { source: 'test' }));

const DIGEST = encodeImaDigest('sha256', fileDigest('sha256'));
const SIGNED = encodeImaSignature(signDigest(signer, 'sha256', fileDigest('sha256')));
const verityDigest = { algorithm: 'sha256', digest: Buffer.alloc(32, 7) } as const;
const VERITY = encodeImaSignature(signFileId(signer, 6, 'sha256', verityDigest.digest), { verity: true });
const FILE_V3 = encodeImaSignature(signFileId(signer, 3, 'sha256', fileDigest('sha256')));

const judge = (xattr: Buffer | undefined, more: Partial<ImaAppraisal> = {}): ImaResult =>
  appraiseIma({ xattr, type: 'hash', fileDigest, keyring, ...more });
const [key] = keyring;
const appended = (stands: boolean, content = CONTENT): NonNullable<ImaAppraisal['modsig']> => ({
  fault: () => (stands ? undefined : 'invalid-signature'),
  digest: () => digest('sha256', content),
});
const says = (result: ImaResult): string => [result.status, result.cause].filter(Boolean).join(' ');

test('a right signature that the kernel does not take is none', () => {
  const odd = generateKeyPairSync('rsa', { modulusLength: 2056 });
  const oddSigner = openSigner({ key: odd.privateKey.export({ type: 'pkcs8', format: 'der' }), source: 'odd' });
  const bytes = odd.publicKey.export({ type: 'spki', format: 'der' });
  const oddKeyring = new Keyring(readPublicKeys(bytes, { source: 'odd' }));
  const xattr = encodeImaSignature(signDigest(oddSigner, 'sha256', fileDigest('sha256')));
  const { status, cause, fault } = judge(xattr, { keyring: oddKeyring });
  assert.deepEqual([status, cause, fault], ['fail', 'invalid-signature', 'key-size-not-in-kernel']);
});

// evmctl 1.4 (Debian 12): `ima_hash -a sha256` over the file "label\n".
test('a hash label is that of evmctl', () => {
  assert.deepEqual(DIGEST, fromHex('0404360e179ff44cfddab4ee7748a89f8beb88bf59982bed71c0abf242571c733433'));
});

test('digests are read as they were written, the legacy forms by their size', () => {
  for (const algorithm of ['md5', 'sha1', 'rmd160', 'sha256', 'sha512', 'sha3-384'] as const) {
    const value = fileDigest(algorithm);
    const label = parseImaXattr(encodeImaDigest(algorithm, value));
    assert.deepEqual(label, { kind: 'digest', algorithm, digest: value, legacy: false });
  }
  const sha1 = fileDigest('sha1');
  const legacy = encodeImaDigest('sha1', sha1, { legacy: true });
  assert.deepEqual(parseImaXattr(legacy), { kind: 'digest', algorithm: 'sha1', digest: sha1, legacy: true });
  const md5 = fileDigest('md5');
  const padded = Buffer.concat([Buffer.of(1), md5, Buffer.alloc(4)]);
  assert.deepEqual(parseImaXattr(padded), { kind: 'digest', algorithm: 'md5', digest: md5, legacy: true });
  assert.throws(() => encodeImaDigest('sha256', fileDigest('sha256'), { legacy: true }), RangeError);
});

test('an algorithm that cannot be computed is named in the refusal', () => {
  for (const [id, name] of [
    [0, 'md4'],
    [18, 'streebog256'],
    [99, '99'],
  ] as const) {
    assert.throws(
      () => parseImaXattr(Buffer.of(4, id, ...Buffer.alloc(32))),
      (error) => error instanceof ParseError && error.offset === 1 && error.message.includes(name),
    );
  }
});

test('what stands passes, whatever kind of label it is', () => {
  assert.equal(says(judge(DIGEST)), 'pass');
  assert.equal(says(judge(encodeImaDigest('sha1', fileDigest('sha1'), { legacy: true }))), 'pass');
  assert.equal(says(judge(SIGNED)), 'pass');
  assert.equal(says(judge(SIGNED, { type: 'imasig' })), 'pass');
  assert.equal(says(judge(VERITY, { type: 'sigv3', verityDigest })), 'pass');
  const v1 = encodeImaSignature(signDigestV1(signer, 'sha1', fileDigest('sha1'), 1000));
  assert.equal(says(judge(v1, { imaHash: 'sha1' })), 'pass');
  assert.equal(says(judge(v1)), 'fail invalid-signature', 'the kernel hashes by ima_hash= here');
});

test('each refusal has the kernel’s word', () => {
  const wrong = { fileDigest: (algorithm: DigestAlgorithm) => digest(algorithm, Buffer.from('changed')) };
  const stranger = { keyring: new Keyring() };
  const cases: [string, ImaResult][] = [
    ['no_label missing-hash', judge(undefined)],
    ['no_label missing-hash', judge(Buffer.alloc(0))],
    ['no_label IMA-signature-required', judge(undefined, { type: 'imasig' })],
    ['no_label verity-signature-required', judge(undefined, { type: 'sigv3', verityDigest })],
    ['fail no-verity-digest', judge(VERITY, { type: 'sigv3' })],
    ['fail invalid-hash', judge(DIGEST, wrong)],
    ['fail invalid-hash', judge(DIGEST.subarray(0, 30))],
    ['fail IMA-signature-required', judge(DIGEST, { type: 'imasig' })],
    ['fail verity-signature-required', judge(DIGEST, { type: 'sigv3', verityDigest })],
    ['fail invalid-signature', judge(SIGNED, wrong)],
    ['fail invalid-signature', judge(SIGNED, stranger)],
    ['fail invalid-signature', judge(SIGNED.subarray(0, 100))],
    ['fail verity-signature-required', judge(SIGNED, { type: 'sigv3', verityDigest })],
    ['fail invalid-signature-version', judge(FILE_V3)],
    ['pass', judge(FILE_V3, { takesFileV3: true })],
    ['fail IMA-signature-required', judge(VERITY, { type: 'imasig' })],
    ['fail invalid-verity-signature', judge(VERITY)],
    ['fail invalid-verity-signature', judge(VERITY, { type: 'sigv3', verityDigest, ...stranger })],
    ['fail invalid-signature-version', judge(Buffer.concat([Buffer.of(6), SIGNED.subarray(1)]))],
    ['unknown unknown-ima-data', judge(Buffer.of(9, 1, 2))],
    ['unknown unknown', judge(Buffer.of(3, 0, 2))],
    ['fail unverifiable-signature', judge(SIGNED, { isUnverifiable: true })],
  ];
  for (const [index, [expected, result]] of cases.entries()) assert.equal(says(result), expected, `case ${index}`);
  assert.equal(judge(SIGNED, stranger).fault, 'unknown-key');
});

test('EVM is asked before the content; a portable signature lends its strength to a hash', () => {
  assert.equal(says(judge(DIGEST, { evmStatus: 'fail' })), 'fail invalid-HMAC');
  assert.equal(says(judge(DIGEST, { evmStatus: 'no_label' })), 'no_label missing-HMAC');
  assert.equal(says(judge(DIGEST, { evmStatus: 'fail_immutable' })), 'fail_immutable invalid-fail-immutable');
  assert.equal(says(judge(DIGEST, { evmStatus: 'pass_immutable', type: 'imasig' })), 'pass');
  assert.equal(says(judge(DIGEST, { evmStatus: 'pass', type: 'imasig' })), 'fail IMA-signature-required');
});

test('an appended signature counts where the label holds none whose key is known', () => {
  const type = 'imasig|modsig' as const;
  const stands = { type, modsig: appended(true) };
  assert.equal(says(judge(undefined, stands)), 'pass');
  assert.equal(says(judge(undefined, { ...stands, evmStatus: 'no_xattrs' })), 'pass');
  assert.equal(says(judge(DIGEST, stands)), 'pass');
  assert.equal(says(judge(SIGNED, { ...stands, keyring: new Keyring() })), 'pass');
  assert.equal(says(judge(undefined, { type, modsig: appended(false) })), 'fail invalid-signature');
  assert.equal(says(judge(undefined, { type: 'imasig', modsig: appended(true) })), 'no_label IMA-signature-required');
  assert.equal(says(judge(SIGNED, { type, modsig: appended(false) })), 'pass');
});

test('a blacklisted hash is refused before the label is looked at, where the rule wants a signature', () => {
  const isBlacklisted = (hash: Uint8Array): boolean => Buffer.compare(hash, fileDigest('sha256')) === 0;
  assert.equal(says(judge(SIGNED, { type: 'imasig', isBlacklisted })), 'fail blacklisted-hash');
  assert.equal(says(judge(undefined, { type: 'imasig', isBlacklisted })), 'fail blacklisted-hash');
  assert.equal(says(judge(DIGEST, { type: 'hash', isBlacklisted })), 'pass', 'the kernel does not ask here');
  const type = 'imasig|modsig' as const;
  assert.equal(says(judge(undefined, { type, isBlacklisted, modsig: appended(true) })), 'fail blacklisted-hash');
  const other = appended(true, Buffer.from('other'));
  assert.equal(says(judge(undefined, { type, isBlacklisted, modsig: other })), 'pass', 'what is signed is asked for');
});

test('a blacklisted key is an invalid signature to the kernel, and no appended one is tried for it', () => {
  const listed = new Keyring(keyring);
  if (key !== undefined) listed.blacklist(key);
  const result = judge(SIGNED, { type: 'imasig|modsig', keyring: listed, modsig: appended(true) });
  assert.deepEqual([says(result), result.fault], ['fail invalid-signature', 'blacklisted-key']);
});

test('any bytes in security.ima give a label or a typed error, and an appraisal that does not pass', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 120 }),
    fc
      .tuple(fc.constantFrom(1, 3, 4, 6), fc.uint8Array({ maxLength: 120 }))
      .map(([type, rest]) => Buffer.of(type, ...rest)),
    fc.nat(SIGNED.length - 1).map((length) => SIGNED.subarray(0, length)),
  );
  fc.assert(
    fc.property(bytes, (xattr) => {
      try {
        parseImaXattr(xattr);
      } catch (error) {
        assert.ok(error instanceof ParseError);
      }
      assert.notEqual(judge(Buffer.from(xattr)).status, 'pass');
    }),
    { numRuns: 300 },
  );
});
