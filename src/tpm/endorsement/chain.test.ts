/** What a configured root signed is not an EK certificate for that alone. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyPairKeyObjectResult, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { BasicConstraints, ExtendedKeyUsage, Extension, KeyUsage, KeyUsageFlags } from '@peculiar/asn1-x509';
import { TpmError } from '../errors.ts';
import { verifyChain } from './chain.ts';
import { issueCertificate } from './issue-certificate.ts';

const extension = (extnID: string, value: unknown) =>
  new Extension({ extnID, critical: true, extnValue: new OctetString(AsnConvert.serialize(value)) });
const constraints = (cA: boolean, pathLenConstraint?: number) =>
  extension('2.5.29.19', new BasicConstraints({ cA, ...(pathLenConstraint !== undefined && { pathLenConstraint }) }));
const usage = (flags: number) => extension('2.5.29.15', new KeyUsage(flags));
const purpose = (...ids: string[]) => extension('2.5.29.37', new ExtendedKeyUsage(ids));
const EK = '2.23.133.8.1';

interface Party {
  readonly name: string;
  readonly keys: KeyPairKeyObjectResult;
  readonly certificate: X509Certificate;
}

const ec = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const rsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 });

function issue(subject: string, issuer: Party | undefined, extensions: Extension[], keys = ec()): Party {
  const { publicKey } = keys;
  const dates = { from: new Date('2020-01-01'), until: new Date('2040-01-01') };
  const certificate = { subject, issuer: issuer?.name ?? subject, publicKey, ...dates, extensions };
  const der = issueCertificate(certificate, issuer?.keys.privateKey ?? keys.privateKey);
  return { name: subject, keys, certificate: new X509Certificate(der) };
}

const root = issue('Root', undefined, [constraints(true)]);

function check(leaf: Party, intermediates: readonly Party[] = [], anchor = root): number {
  const all = intermediates.map(({ certificate }) => certificate);
  const now = Date.parse('2026-06-01');
  return verifyChain({ certificate: leaf.certificate, intermediates: all, roots: [anchor.certificate], now }).length;
}
const refused = (words: RegExp) => (error: unknown) =>
  error instanceof TpmError && error.code === 'tpm.untrusted' && words.test(error.message);

test('an EK certificate says so in its extended key usage', () => {
  assert.equal(check(issue('EK', root, [purpose(EK)])), 2);
  assert.equal(check(issue('EK', root, [constraints(false), purpose('2.23.133.8.3', EK)])), 2);
  const others = [[], [purpose('1.3.6.1.5.5.7.3.1')], [purpose('2.23.133.8.3')], [purpose('2.5.29.37.0')]];
  for (const extensions of others) {
    assert.throws(() => check(issue('Other', root, extensions)), refused(/not an endorsement key’s.*2\.23\.133\.8\.1/));
  }
});

test('a CA is no endorsement key', () => {
  assert.throws(() => check(issue('CA', root, [constraints(true), purpose(EK)])), refused(/is a CA’s/));
});

test('the key usage of an EK certificate, where there is one, is to encipher or to agree', () => {
  const { keyAgreement, keyEncipherment, digitalSignature } = KeyUsageFlags;
  assert.equal(check(issue('EK', root, [usage(keyAgreement), purpose(EK)])), 2);
  assert.equal(check(issue('EK', root, [usage(keyEncipherment), purpose(EK)])), 2);
  assert.equal(check(issue('EK', root, [usage(keyEncipherment), purpose(EK)], rsa())), 2);
  assert.throws(
    () => check(issue('EK', root, [usage(digitalSignature), purpose(EK)])),
    refused(/does not let its key/),
  );
  assert.throws(
    () => check(issue('EK', root, [usage(keyAgreement), purpose(EK)], rsa())),
    refused(/does not let its key/),
  );
});

test('who issues may sign certificates by its key usage', () => {
  const { keyCertSign, cRLSign } = KeyUsageFlags;
  const able = issue('Able', root, [constraints(true), usage(keyCertSign | cRLSign)]);
  assert.equal(check(issue('EK', able, [purpose(EK)]), [able]), 3);
  const unable = issue('Unable', root, [constraints(true), usage(cRLSign)]);
  assert.throws(
    () => check(issue('EK', unable, [purpose(EK)]), [unable]),
    refused(/no configured root vouches for 'CN=Unable'/),
  );
});

test('a path length bounds the CAs below', () => {
  const last = issue('Last', root, [constraints(true, 0)]);
  assert.equal(check(issue('EK', last, [purpose(EK)]), [last]), 3);
  const below = issue('Below', last, [constraints(true)]);
  const ek = issue('EK', below, [purpose(EK)]);
  assert.throws(() => check(ek, [below, last]), refused(/'CN=Last' allows 0 CAs below it, and there are 1/));
  assert.throws(() => check(ek, [below], last), refused(/allows 0 CAs/), 'where it is the root, too');
});
