/** A certificate authority for tests: issues EK certificates as a TPM's maker would. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { certificateIssuer } from '../../src/tpm/index.ts';

const { issueCertificate } = await certificateIssuer();

export interface TestAuthority {
  readonly name: string;
  /** X.509, DER: the root. */
  readonly certificate: Buffer;
  readonly privateKey: KeyObject;
}

const DAY = 86_400_000;

export function testAuthority(name: string): TestAuthority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const dates = { from: new Date(Date.now() - 365 * DAY), until: new Date(Date.now() + 365 * DAY) };
  const root = { subject: name, issuer: name, publicKey, ...dates, extensions: { basicConstraints: { cA: true } } };
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
    extensions: { basicConstraints: { cA: false }, extendedKeyUsage: ['2.23.133.8.1'] }, // tcg-kp-EKCertificate
  };
  return issueCertificate(certificate, privateKey);
}
