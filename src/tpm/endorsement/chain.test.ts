/** What a configured root signed is not an EK certificate for that alone. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyPairKeyObjectResult, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { TpmError } from '../errors.ts';
import type { CertificateExtensions } from './certificate-extensions.ts';
import { verifyChain } from './chain.ts';
import { issueCertificate } from './issue-certificate.ts';

/** tcg-kp-EKCertificate. */
const EK = { extendedKeyUsage: ['2.23.133.8.1'] };
const CA = { basicConstraints: { cA: true } };

interface Party {
  readonly name: string;
  readonly keys: KeyPairKeyObjectResult;
  readonly certificate: X509Certificate;
}

const ec = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const rsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 });

function issue(subject: string, issuer: Party | undefined, extensions: CertificateExtensions, keys = ec()): Party {
  const { publicKey } = keys;
  const dates = { from: new Date('2020-01-01'), until: new Date('2040-01-01') };
  const certificate = { subject, issuer: issuer?.name ?? subject, publicKey, ...dates, extensions };
  const der = issueCertificate(certificate, issuer?.keys.privateKey ?? keys.privateKey);
  return { name: subject, keys, certificate: new X509Certificate(der) };
}

const root = issue('Root', undefined, CA);

function check(leaf: Party, intermediates: readonly Party[] = [], anchor = root): number {
  const all = intermediates.map(({ certificate }) => certificate);
  const now = Date.parse('2026-06-01');
  return verifyChain({ certificate: leaf.certificate, intermediates: all, roots: [anchor.certificate], now }).length;
}
const refused = (words: RegExp) => (error: unknown) =>
  error instanceof TpmError && error.code === 'tpm.untrusted' && words.test(error.message);

test('an EK certificate says so in its extended key usage', () => {
  assert.equal(check(issue('EK', root, EK)), 2);
  assert.equal(
    check(issue('EK', root, { basicConstraints: { cA: false }, extendedKeyUsage: ['2.23.133.8.3', '2.23.133.8.1'] })),
    2,
  );
  assert.throws(() => check(issue('Other', root, {})), refused(/not an endorsement key’s.*2\.23\.133\.8\.1/));
  for (const purpose of ['1.3.6.1.5.5.7.3.1', '2.23.133.8.3', '2.5.29.37.0']) {
    const other = issue('Other', root, { extendedKeyUsage: [purpose] });
    assert.throws(() => check(other), refused(/not an endorsement key’s.*2\.23\.133\.8\.1/));
  }
});

test('a CA is no endorsement key', () => {
  assert.throws(() => check(issue('CA', root, { ...CA, ...EK })), refused(/is a CA’s/));
});

test('the key usage of an EK certificate, where there is one, is to encipher or to agree', () => {
  assert.equal(check(issue('EK', root, { keyUsage: ['keyAgreement'], ...EK })), 2);
  assert.equal(check(issue('EK', root, { keyUsage: ['keyEncipherment'], ...EK })), 2);
  assert.equal(check(issue('EK', root, { keyUsage: ['keyEncipherment'], ...EK }, rsa())), 2);
  assert.throws(
    () => check(issue('EK', root, { keyUsage: ['digitalSignature'], ...EK })),
    refused(/does not let its key/),
  );
  assert.throws(
    () => check(issue('EK', root, { keyUsage: ['keyAgreement'], ...EK }, rsa())),
    refused(/does not let its key/),
  );
});

test('who issues may sign certificates by its key usage', () => {
  const able = issue('Able', root, { ...CA, keyUsage: ['keyCertSign', 'cRLSign'] });
  assert.equal(check(issue('EK', able, EK), [able]), 3);
  const unable = issue('Unable', root, { ...CA, keyUsage: ['cRLSign'] });
  assert.throws(() => check(issue('EK', unable, EK), [unable]), refused(/no configured root vouches for 'CN=Unable'/));
});

test('a path length bounds the CAs below', () => {
  const last = issue('Last', root, { basicConstraints: { cA: true, pathLenConstraint: 0 } });
  assert.equal(check(issue('EK', last, EK), [last]), 3);
  const below = issue('Below', last, CA);
  const ek = issue('EK', below, EK);
  assert.throws(() => check(ek, [below, last]), refused(/'CN=Last' allows 0 CAs below it, and there are 1/));
  assert.throws(() => check(ek, [below], last), refused(/allows 0 CAs/), 'where it is the root, too');
});
