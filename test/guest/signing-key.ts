/** Keys made for one test: a signer with its certificate, as the kernel's keyrings take it. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Keyring, openSigner, readPublicKeys, type Signer } from '../../src/digsig/index.ts';

export interface SigningKey {
  readonly signer: Signer;
  /** X.509 in DER. */
  readonly certificate: Buffer;
  /** Where both lie, for programs. */
  readonly files: { readonly key: string; readonly certificate: string };
}

/** Left out: the certificate is self-signed, with a subject key identifier. */
export interface CertificateOptions {
  readonly issuer?: SigningKey;
  readonly skid?: 'none';
}

/**
 * Makes a key and its certificate.
 * @param algorithm of openssl's `-newkey`: `rsa:2048`, `ec` with `-pkeyopt ec_paramgen_curve:P-256`
 */
export function makeSigningKey(
  folder: string,
  name: string,
  algorithm: readonly string[],
  { issuer, skid }: CertificateOptions = {},
): SigningKey {
  const files = { key: join(folder, `${name}.pem`), certificate: join(folder, `${name}.der`) };
  const made = ['-nodes', '-keyout', files.key, '-outform', 'DER', '-out', files.certificate, '-subj', `/CN=${name}`];
  if (issuer !== undefined) made.push('-CA', issuer.files.certificate, '-CAkey', issuer.files.key);
  if (skid !== undefined) made.push('-addext', `subjectKeyIdentifier=${skid}`);
  execFileSync('openssl', ['req', '-x509', '-newkey', ...algorithm, ...made], { stdio: 'ignore' });
  const [key, certificate] = [readFileSync(files.key), readFileSync(files.certificate)];
  return { certificate, files, signer: openSigner({ key, source: `${name}.pem`, certificate }) };
}

export const keyringOf = (...keys: readonly SigningKey[]): Keyring =>
  new Keyring(keys.flatMap(({ certificate }) => readPublicKeys(certificate, { source: 'certificate' })));
