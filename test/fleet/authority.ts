/** A certificate authority for tests: issues EK certificates as a TPM's maker would. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { BasicConstraints, ExtendedKeyUsage, Extension } from '@peculiar/asn1-x509';
import { certificateIssuer } from '../../src/tpm/index.ts';

const { issueCertificate } = await certificateIssuer();

export interface TestAuthority {
  readonly name: string;
  /** X.509, DER: the root. */
  readonly certificate: Buffer;
  readonly privateKey: KeyObject;
}

const DAY = 86_400_000;

function basicConstraints(cA: boolean): Extension {
  const extnValue = new OctetString(AsnConvert.serialize(new BasicConstraints({ cA })));
  return new Extension({ extnID: '2.5.29.19', critical: true, extnValue });
}

/** tcg-kp-EKCertificate. */
const EK_PURPOSE = new Extension({
  extnID: '2.5.29.37',
  extnValue: new OctetString(AsnConvert.serialize(new ExtendedKeyUsage(['2.23.133.8.1']))),
});

export function testAuthority(name: string): TestAuthority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const dates = { from: new Date(Date.now() - 365 * DAY), until: new Date(Date.now() + 365 * DAY) };
  const root = { subject: name, issuer: name, publicKey, ...dates, extensions: [basicConstraints(true)] };
  return { name, privateKey, certificate: issueCertificate(root, privateKey) };
}

/** An EK's certificate, DER. */
export function certify(
  { name: issuer, privateKey }: TestAuthority,
  publicKey: KeyObject,
  dates: { from: number; until: number },
): Buffer {
  const validity = { from: new Date(dates.from), until: new Date(dates.until) };
  const certificate = {
    subject: 'EK',
    issuer,
    publicKey,
    ...validity,
    extensions: [basicConstraints(false), EK_PURPOSE],
  };
  return issueCertificate(certificate, privateKey);
}
