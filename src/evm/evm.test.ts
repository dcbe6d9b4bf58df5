import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { digest, fromHex, ParseError, toHex } from '../bytes/index.ts';
import { encodeSignature, Keyring, openSigner, readPublicKeys, signFileId } from '../digsig/index.ts';
import {
  appraiseEvm,
  EvmError,
  type EvmMetadata,
  encodeEvmHmac,
  encodeEvmSignature,
  evmDigest,
  evmHmac,
  evmInput,
  hmacLabel,
  parseEvmXattr,
  signatureLabel,
} from './index.ts';

/**
 * Known answers from evmctl 1.4 (Debian 12) over a file with these attributes on ext4: `hmac -a sha1` with the bytes 0 to
 * 63 as key, `--m32`; `sign -a sha256 --inode 77 --uid 5 --gid 6 --mode 33188 --generation 9 -u UUID`; `sign --portable
 * -a sha512`, the digests as its messages show them. The certificate is OpenSSL 3.0's.
 */
const XATTRS = new Map([
  ['security.ima', fromHex('0404360e179ff44cfddab4ee7748a89f8beb88bf59982bed71c0abf242571c733433')],
  ['security.selinux', Buffer.from('system_u:object_r:bin_t:s0')],
]);
const LIVE: EvmMetadata = { xattrs: XATTRS, ino: 14n, generation: 765406605, uid: 12, gid: 34, mode: 0o100755 };
const GIVEN: EvmMetadata = {
  xattrs: XATTRS,
  ino: 77n,
  generation: 9,
  uid: 5,
  gid: 6,
  mode: 33188,
  uuid: fromHex('0123456789abcdeffedcba9876543210'),
};
const KEY = Buffer.from(Array.from({ length: 64 }, (_, i) => i));
const CERTIFICATE = Buffer.from(
  'MIICCDCCAXGgAwIBAgIUcctrF66xAeCUD+uOa2YaF4EvZK0wDQYJKoZIhvcNAQELBQAwFTETMBEGA1UEAwwKdmVjdG9yLWV2bTAgFw0yNjExMjMyMzI5MDlaGA8yMDU0MDQxMDIzMjkwOVowFTETMBEGA1UEAwwKdmVjdG9yLWV2bTCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEA0w5j2Lwqgs3qcQBL2jmw56iBPDB0OCe7b21IlQd16S06MlO4DKdJIkDcWRsUsmh06dDxxsTTgP2U34PQOb759clAeg9R27wF9TuXVpUCihvTSZlLoH++epJ6XyUOrSzXtUHfWz/1Xz2Y9gJAdWRGgtLFFzfyDnQeYJBzMB4JxMcCAwEAAaNTMFEwHQYDVR0OBBYEFB+cbqzJwvo44qUklE8gaj/sg0mOMB8GA1UdIwQYMBaAFB+cbqzJwvo44qUklE8gaj/sg0mOMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADgYEAsHTuG7dSkX41XCCLLvomqexNjDbBPGaLj6zTUshyktlerYlrBWGf33P8yruEgsVfiCyfHQ3xF3KUh/jGxrM4qWEaVdX3Vn+IrLlUoL+8a0+F3HUmPVKVn1rK6Uz/kNRSegSnyBAVwjIE7v/e5mD9S/pjNmEiOo/gQhAzl1Wb9XY=',
  'base64',
);
const SIGNED = fromHex(
  '030204ec83498e00807479c5372ea97cd97d7a66347c6834ff7062015d3df8b72609550ca5c76f131f610d177ac270ee2bbf594ecf0d57c1caaa0b5b32aedf22f939d474e868de792e4082324985f7b2854ea854da61eaa5b33228e2dabb77424628bf121b4fd5d751f252e5d3ab554e6637d82a1cce1466500815df9cc888d227d86b5056f1218eda',
);
const PORTABLE = fromHex(
  '050206ec83498e008076ea083259ab36de96f91388fbccafd6650bb46a902a14724a502e4f7a1647c610373cafb8e94dcb8439ad82a725f550b5c95b1439a90e63e77525d40eae47afb7733da624439fa34fd965320c9201f46ccaa9cd10edac8eedac37b01cf8d44ce34e3fed86b580bfe3355b37e01136557c537b3bedaa940ec41e8349a450d60f',
);
const HMAC = '7e81d2fc8a62e34baca5b27d63901f8a584c76b1';
const HMAC_32 = '86bd5d1cce7b24384788f9aa78d6fc17bb3c4e92';

const keyring = new Keyring(readPublicKeys(CERTIFICATE, { source: 'vector-evm' }));

test('the HMAC is that of evmctl, on 64 bits and on 32', () => {
  assert.equal(toHex(evmHmac(KEY, LIVE, { withUuid: false })), HMAC);
  assert.equal(toHex(evmHmac(KEY, LIVE, { withUuid: false, layout: '32-bit' })), HMAC_32);
});

test('the key is 128 bytes to HMAC, whatever its payload: padding it by hand changes nothing', () => {
  const padded = Buffer.concat([KEY, Buffer.alloc(64)]);
  assert.deepEqual(evmHmac(padded, GIVEN), evmHmac(KEY, GIVEN));
  assert.throws(() => evmHmac(Buffer.alloc(129), GIVEN), EvmError);
  assert.throws(() => evmHmac(Buffer.alloc(0), GIVEN), EvmError);
});

test('the digests under signatures are those of evmctl', () => {
  assert.equal(toHex(evmDigest('sha256', GIVEN)), '299c0814c599d378902e0824476e58cc672ea856d8463d4db81e3288ed8223b8');
  assert.equal(
    toHex(evmDigest('sha512', LIVE, { portable: true })),
    '340970bc98d94f570bc831b8727a4ab9339770755e3bf6d40973f446ce41b31f' +
      'cb096c3b95ebc56381ddac89b85b2866b89dc0b2fee2844f5c949eb70e59ac45',
  );
});

test('a signature of evmctl passes; a portable one passes as immutable, on another inode too', () => {
  assert.deepEqual(appraiseEvm({ xattr: SIGNED, metadata: GIVEN, keyring }), { status: 'pass' });
  assert.deepEqual(appraiseEvm({ xattr: PORTABLE, metadata: LIVE, keyring }), { status: 'pass_immutable' });
  const moved = { ...LIVE, ino: 99n, generation: 1 };
  assert.deepEqual(appraiseEvm({ xattr: PORTABLE, metadata: moved, keyring }), { status: 'pass_immutable' });
});

test('whatever is changed of what a label protects is found, by the kernel’s words', () => {
  const changes: Partial<EvmMetadata>[] = [
    { ino: 78n },
    { generation: 10 },
    { uid: 0 },
    { gid: 0 },
    { mode: 0o104755 },
    { uuid: Buffer.alloc(16) },
    { xattrs: new Map([...XATTRS, ['security.capability', Buffer.alloc(20)]]) },
    { xattrs: new Map([...XATTRS, ['security.ima', Buffer.alloc(34)]]) },
  ];
  const xattr = hmacLabel(KEY, GIVEN);
  assert.deepEqual(appraiseEvm({ xattr, metadata: GIVEN, hmacKey: KEY }), { status: 'pass' });
  for (const change of changes) {
    const metadata = { ...GIVEN, ...change };
    const hmac = appraiseEvm({ xattr, metadata, hmacKey: KEY });
    assert.deepEqual(hmac, { status: 'fail', cause: 'invalid-HMAC', fault: 'wrong-hmac' });
    const signed = appraiseEvm({ xattr: SIGNED, metadata, keyring });
    assert.deepEqual(signed, { status: 'fail', cause: 'invalid-HMAC', fault: 'invalid-signature' });
  }
  const portable = appraiseEvm({ xattr: PORTABLE, metadata: { ...LIVE, mode: 0o104755 }, keyring });
  assert.deepEqual(portable, {
    status: 'fail_immutable',
    cause: 'invalid-fail-immutable',
    fault: 'invalid-signature',
  });
});

test('the kernel’s answers where something is missing', () => {
  const bare = { ...GIVEN, xattrs: new Map() };
  const noIma = { ...GIVEN, xattrs: new Map([['security.selinux', Buffer.of(1)]]) };
  assert.deepEqual(appraiseEvm({ xattr: SIGNED, metadata: GIVEN }), { status: 'unknown' });
  assert.deepEqual(appraiseEvm({ xattr: undefined, metadata: GIVEN, keyring }), {
    status: 'no_label',
    cause: 'missing-HMAC',
  });
  assert.deepEqual(appraiseEvm({ xattr: undefined, metadata: bare, keyring }), {
    status: 'no_xattrs',
    cause: 'missing-HMAC',
  });
  const hmac = encodeEvmHmac(Buffer.alloc(20));
  assert.equal(appraiseEvm({ xattr: hmac, metadata: bare, hmacKey: KEY }).status, 'no_xattrs');
  assert.equal(appraiseEvm({ xattr: hmac, metadata: GIVEN, keyring }).fault, 'no-hmac-key');
  assert.equal(appraiseEvm({ xattr: PORTABLE, metadata: noIma, keyring }).fault, 'no-ima-label');
  assert.equal(appraiseEvm({ xattr: SIGNED, metadata: GIVEN, keyring: new Keyring() }).fault, 'unknown-key');
  // A portable label without a signature is a plain failure (evm_verify_hmac: before evm_immutable counts).
  assert.equal(appraiseEvm({ xattr: PORTABLE.subarray(0, 9), metadata: LIVE, keyring }).status, 'fail');
});

test('attributes of modules that the kernel lacks count for portable signatures alone', () => {
  const disabledXattrs = new Set(['security.selinux']);
  const without = { ...GIVEN, xattrs: new Map([...XATTRS].filter(([name]) => name !== 'security.selinux')) };
  assert.deepEqual(evmInput(GIVEN, { disabledXattrs }), evmInput(without));
  assert.deepEqual(evmInput(GIVEN, { disabledXattrs, portable: true }), evmInput(GIVEN, { portable: true }));
});

test('names that were added at run time follow the others', () => {
  const metadata = { ...GIVEN, xattrs: new Map([['security.assay.dir', Buffer.from('DIR')], ...XATTRS]) };
  const input = evmInput(metadata, { extraXattrs: ['security.assay.dir'] });
  assert.equal(input.indexOf('DIR'), input.length - 16 - 24 - 3);
  assert.deepEqual(evmInput(metadata), evmInput(GIVEN));
});

test('what cannot be labelled is refused, not cut', () => {
  assert.throws(() => evmInput({ ...GIVEN, uid: 2 ** 32 }), EvmError);
  assert.throws(() => evmInput({ ...GIVEN, gid: -1 }), EvmError);
  assert.throws(() => evmInput({ ...GIVEN, ino: 2n ** 64n }), EvmError);
  assert.throws(() => evmInput({ ...GIVEN, ino: 2n ** 32n }, { layout: '32-bit' }), EvmError);
  assert.throws(() => evmInput({ ...GIVEN, uuid: Buffer.alloc(15) }), EvmError);
  assert.throws(() => evmInput(LIVE), EvmError, 'without the UUID that is hashed');
  assert.throws(() => evmInput({ ...GIVEN, xattrs: new Map() }), EvmError);
});

test('our own signatures of every kind of key pass', () => {
  const keys = [
    generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  ];
  for (const key of keys) {
    const signer = openSigner({ key: key.export({ type: 'pkcs8', format: 'der' }), source: 'test' });
    const public_ = signer.publicKey.export({ type: 'spki', format: 'der' });
    const ring = new Keyring(readPublicKeys(public_, { source: 'test' }));
    for (const portable of [false, true]) {
      const xattr = signatureLabel(signer, 'sha256', GIVEN, { portable });
      const { status } = appraiseEvm({ xattr, metadata: GIVEN, keyring: ring });
      assert.equal(status, portable ? 'pass_immutable' : 'pass');
    }
  }
});

test('any bytes in security.evm give a label or a typed error, and an appraisal that does not pass', () => {
  const hmacKey = digest('sha256', Buffer.from('a key'));
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .tuple(fc.constantFrom(2, 3, 5), fc.uint8Array({ maxLength: 160 }))
      .map(([type, rest]) => Buffer.of(type, ...rest)),
    fc.nat(SIGNED.length - 1).map((length) => SIGNED.subarray(0, length)),
  );
  fc.assert(
    fc.property(bytes, (xattr) => {
      try {
        parseEvmXattr(xattr);
      } catch (error) {
        assert.ok(error instanceof ParseError);
      }
      assert.match(appraiseEvm({ xattr, metadata: GIVEN, keyring, hmacKey }).status, /^fail/);
    }),
    { numRuns: 300 },
  );
});

test('format 3 is over the digest itself to kernels that do not know it here, over its file id to newer ones', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = openSigner({ key: privateKey.export({ type: 'pkcs8', format: 'der' }), source: 'test' });
  const ring = new Keyring(readPublicKeys(publicKey.export({ type: 'spki', format: 'der' }), { source: 'test' }));
  const algorithm = 'sha256';
  for (const portable of [false, true]) {
    const digest = evmDigest(algorithm, GIVEN, { portable });
    const signature = signer.sign(algorithm, digest);
    const bare = encodeSignature({ version: 3, algorithm, keyId: signer.keyId, signature });
    const fileId = signFileId(signer, portable ? 5 : 3, algorithm, digest);
    const judge = (label: Buffer, takesV3: boolean): string =>
      appraiseEvm({ xattr: encodeEvmSignature(label, { portable }), metadata: GIVEN, keyring: ring, takesV3 }).status;
    const [pass, fail] = portable ? ['pass_immutable', 'fail_immutable'] : ['pass', 'fail'];
    assert.deepEqual([judge(bare, false), judge(fileId, false)], [pass, fail]);
    assert.deepEqual([judge(bare, true), judge(fileId, true)], [fail, pass]);
  }
});
