/** Keys made for one test: a signer with its certificate, as the kernel's keyrings take it. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Keyring, openSigner, readPublicKeys, type Signer } from '../../src/digsig/index.ts';

export interface SigningKey {
  readonly signer: Signer;
  /** X.509 in DER. */
  readonly certificate: Buffer;
}

/**
 * Makes a key and a self-signed certificate with a subject key identifier.
 * @param algorithm of openssl's `-newkey`: `rsa:2048`, `ec` with `-pkeyopt ec_paramgen_curve:P-256`
 */
export function makeSigningKey(folder: string, name: string, algorithm: readonly string[]): SigningKey {
  const key = join(folder, `${name}.pem`);
  const place = join(folder, `${name}.der`);
  const made = ['-nodes', '-keyout', key, '-outform', 'DER', '-out', place, '-subj', `/CN=${name}`];
  execFileSync('openssl', ['req', '-x509', '-newkey', ...algorithm, ...made], { stdio: 'ignore' });
  const certificate = readFileSync(place);
  return { certificate, signer: openSigner({ key: readFileSync(key), source: `${name}.pem`, certificate }) };
}

export const keyringOf = (...keys: readonly SigningKey[]): Keyring =>
  new Keyring(keys.flatMap(({ certificate }) => readPublicKeys(certificate, { source: 'certificate' })));
