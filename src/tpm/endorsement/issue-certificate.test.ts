import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Certificate } from '@peculiar/asn1-x509';
import { issueCertificate, type NewCertificate } from './issue-certificate.ts';

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const issue = (asked: Partial<NewCertificate>): Buffer => {
  const dates = { from: new Date('2026-01-01'), until: new Date('9999-12-31T23:59:59Z') };
  return issueCertificate({ subject: 'EK', issuer: 'Maker', publicKey, ...dates, ...asked }, privateKey);
};

const TPM_IDENTITY = [
  ['2.23.133.2.1', 'id:41535359'],
  ['2.23.133.2.2', 'model'],
  ['2.23.133.2.3', 'id:00000001'],
] as const;

/** Identifier, criticality and value, the value written by hand from RFC 5280, 4.2.1. */
const extensionsOf = (der: Buffer): string[] =>
  Array.from(AsnConvert.parse(der, Certificate).tbsCertificate.extensions ?? [], ({ extnID, critical, extnValue }) =>
    [extnID, ...(critical ? ['critical'] : []), Buffer.from(extnValue.buffer).toString('hex')].join(' '),
  );

test('extensions are the bytes that RFC 5280 asks for', () => {
  const ca = { basicConstraints: { cA: true, pathLenConstraint: 0 }, keyUsage: ['keyCertSign', 'cRLSign'] } as const;
  assert.deepEqual(extensionsOf(issue({ extensions: ca })), [
    '2.5.29.19 critical 30060101ff020100',
    '2.5.29.15 critical 03020106',
  ]);
  const ek = {
    basicConstraints: { cA: false },
    keyUsage: ['keyEncipherment'],
    extendedKeyUsage: ['2.23.133.8.1'],
  } as const;
  assert.deepEqual(extensionsOf(issue({ extensions: ek })), [
    '2.5.29.19 critical 3000',
    '2.5.29.15 critical 03020520',
    '2.5.29.37 300706056781050801',
  ]);
  assert.deepEqual(extensionsOf(issue({})), []);
});

test('a directory name beside the subject is critical where the subject is empty', () => {
  const extensions = { subjectAltName: TPM_IDENTITY };
  assert.match(extensionsOf(issue({ extensions })).join(), /^2\.5\.29\.17 30[0-9a-f]{2}a4/);
  const alone = issue({ subject: [], extensions });
  assert.match(extensionsOf(alone).join(), /^2\.5\.29\.17 critical 30/);
  const { subject, subjectAltName = '' } = new X509Certificate(alone);
  assert.equal(subject ?? '', '');
  for (const [, text] of TPM_IDENTITY) assert.ok(subjectAltName.includes(text), subjectAltName);
});

test('a name may have more than a common name', () => {
  const subject = [
    ['2.5.4.6', 'DE'],
    ['2.5.4.10', 'Maker'],
    ['2.5.4.3', 'Root'],
  ] as const;
  assert.equal(new X509Certificate(issue({ subject })).subject, 'C=DE\nO=Maker\nCN=Root');
});

test('a certificate names its own key and its authority’s in one way', () => {
  const [own = ''] = extensionsOf(issue({ extensions: { subjectKeyIdentifier: true } }));
  const [authority = ''] = extensionsOf(issue({ extensions: { authorityKey: publicKey } }));
  assert.match(own, /^2\.5\.29\.14 0414[0-9a-f]{40}$/);
  assert.equal(authority, `2.5.29.35 30168014${own.slice(-40)}`);
});
