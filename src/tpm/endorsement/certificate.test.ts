/** Chains made here as TPM makers make them; swtpm's own chain is test/system/swtpm.test.ts. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyPairKeyObjectResult, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { TpmError } from '../errors.ts';
import { endorsementKeyOf, parseCertificate, parsePemBundle } from './certificate.ts';
import { verifyChain } from './chain.ts';
import { issueCertificate } from './issue-certificate.ts';
import { EK_PROFILES } from './templates.ts';

const makeKeys = {
  p256: () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  p384: () => generateKeyPairSync('ec', { namedCurve: 'secp384r1' }),
  rsa2048: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  rsa3072: () => generateKeyPairSync('rsa', { modulusLength: 3072 }),
};

interface Party {
  readonly name: string;
  readonly keys: KeyPairKeyObjectResult;
  readonly certificate: X509Certificate;
}

interface Issue {
  readonly key?: keyof typeof makeKeys;
  readonly isCa?: boolean;
  readonly from?: string;
  readonly to?: string;
  readonly keys?: KeyPairKeyObjectResult;
}

/** A certificate (RFC 5280, 4.1) for a new key, by `issuer` or by itself. */
function issue(name: string, issuer: Pick<Party, 'name' | 'keys'> | undefined, options: Issue = {}): Party {
  const { key = 'p256', isCa = true, from = '2020-01-01', to = '2040-01-01' } = options;
  const keys = options.keys ?? makeKeys[key]();
  const dates = { from: new Date(from), until: new Date(to) };
  const extensions = {
    basicConstraints: { cA: isCa },
    ...(isCa ? {} : { extendedKeyUsage: ['2.23.133.8.1'] }), // tcg-kp-EKCertificate
  };
  const names = { subject: name, issuer: issuer?.name ?? name };
  const certificate = new X509Certificate(
    issueCertificate(
      { ...names, ...dates, publicKey: keys.publicKey, extensions },
      issuer?.keys.privateKey ?? keys.privateKey,
    ),
  );
  return { name, keys, certificate };
}

const NOW = Date.parse('2026-06-01');

const root = issue('Root', undefined, { key: 'p384' });
const intermediate = issue('Intermediate', root, { key: 'rsa2048' });
const ek = issue('EK', intermediate, { isCa: false });

const chainOf = (certificate: Party, intermediates: readonly Party[], roots: readonly Party[], now = NOW) =>
  verifyChain({
    certificate: certificate.certificate,
    intermediates: intermediates.map((party) => party.certificate),
    roots: roots.map((party) => party.certificate),
    now,
  });
const isUntrusted = (words: RegExp) => (error: unknown) =>
  error instanceof TpmError && error.code === 'tpm.untrusted' && words.test(error.message);

test('a chain over RSA and ECDSA ends at the configured root', () => {
  assert.deepEqual(
    chainOf(ek, [intermediate], [root]).map(({ subject }) => subject),
    ['CN=EK', 'CN=Intermediate', 'CN=Root'],
  );
  assert.equal(chainOf(ek, [], [intermediate]).length, 2, 'an intermediate may itself be configured');
});

test('what is given beside a certificate is trusted for nothing', () => {
  const stranger = issue('Root', undefined, { key: 'p384' }); // the same name, another key
  assert.throws(() => chainOf(ek, [intermediate, root], [stranger]), isUntrusted(/no configured root/));
  assert.throws(() => chainOf(ek, [intermediate, root], []), isUntrusted(/no configured root/));
  assert.throws(() => chainOf(ek, [], [root]), isUntrusted(/no configured root vouches for 'CN=Intermediate'/));
  const forged = issue('EK', { name: 'Intermediate', keys: stranger.keys }, { isCa: false });
  assert.throws(() => chainOf(forged, [intermediate], [root]), isUntrusted(/no configured root/));
});

test('a certificate that is no CA issues nothing', () => {
  const noCa = issue('No CA', root, { isCa: false });
  const below = issue('EK 2', noCa, { isCa: false });
  assert.throws(() => chainOf(below, [noCa], [root]), isUntrusted(/no configured root/));
  assert.throws(() => chainOf(below, [], [noCa]), isUntrusted(/no configured root/));
});

test('dates hold for the certificate and what lies between, not for the root', () => {
  const old = { from: '2001-01-01', to: '2002-01-01' };
  const oldEk = issue('Old EK', intermediate, { ...old, isCa: false });
  assert.throws(() => chainOf(oldEk, [intermediate], [root]), isUntrusted(/'CN=Old EK' is valid from/));
  const oldCa = issue('Old CA', root, old);
  const under = issue('EK 3', oldCa, { isCa: false });
  assert.throws(() => chainOf(under, [oldCa], [root]), isUntrusted(/'CN=Old CA' is valid from/));
  const oldRoot = issue('Old root', undefined, old);
  const living = issue('EK 4', oldRoot, { isCa: false });
  assert.equal(chainOf(living, [], [oldRoot]).length, 2);
  assert.throws(() => chainOf(ek, [intermediate], [root], Date.parse('2019-01-01')), isUntrusted(/valid from/));
});

test('certificates that issue each other end, without a root', () => {
  const first = issue('First', undefined);
  const second = issue('Second', first);
  const firstAgain = issue('First', second, { keys: first.keys });
  const leaf = issue('Leaf', second, { isCa: false });
  assert.throws(() => chainOf(leaf, [second, firstAgain, first], [root]), isUntrusted(/no configured root/));
});

test('NV pads certificates: what follows the outer SEQUENCE does not count', () => {
  const der = ek.certificate.raw;
  for (const padding of [Buffer.alloc(0), Buffer.alloc(100), Buffer.alloc(100, 0xff)]) {
    assert.deepEqual(parseCertificate(Buffer.concat([der, padding])).raw, der);
  }
});

test('a damaged or huge certificate is malformed, whatever its bytes', () => {
  const der = ek.certificate.raw;
  const isMalformed = (error: unknown) => error instanceof TpmError && error.code === 'tpm.malformed';
  for (const bytes of [
    Buffer.alloc(0),
    der.subarray(0, 100),
    Buffer.from('3084ffffffff00', 'hex'),
    Buffer.alloc(20_000),
  ]) {
    assert.throws(() => parseCertificate(bytes), isMalformed);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.throws(() => parseCertificate(bytes), isMalformed);
    }),
    { numRuns: 200 },
  );
});

test('a PEM bundle gives its certificates in order', () => {
  const text = `# roots\n${root.certificate.toString()}\nnoise\n${intermediate.certificate.toString()}`;
  assert.deepEqual(
    parsePemBundle(text).map(({ subject }) => subject),
    ['CN=Root', 'CN=Intermediate'],
  );
  assert.deepEqual(parsePemBundle('nothing'), []);
});

test('the key of a certificate is the profile’s template with that key, and of no profile an error', () => {
  const found = endorsementKeyOf(ek.certificate);
  assert.equal(found.profile, EK_PROFILES.p256);
  const { unique, ...area } = found.area;
  const { unique: _unique, ...template } = EK_PROFILES.p256.template;
  assert.deepEqual(area, template);
  assert.ok('x' in unique && unique.x.length === 32);
  assert.equal(endorsementKeyOf(intermediate.certificate).profile, EK_PROFILES.rsa2048);
  assert.equal(endorsementKeyOf(root.certificate).profile, EK_PROFILES.p384);
  const big = issue('RSA 3072', undefined, { key: 'rsa3072' });
  const isUnsupported = (error: unknown) => error instanceof TpmError && error.code === 'tpm.unsupported';
  assert.throws(() => endorsementKeyOf(big.certificate), isUnsupported);
});
