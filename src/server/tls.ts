/**
 * The server's own TLS certificate. No authority vouches for it: agents pin its SHA-256 fingerprint, which the join line
 * carries, so neither a name nor a public root matters. Made once, kept in the data folder.
 */
import { generateKeyPairSync, hash, type KeyObject, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { privateFolder, replaceFile } from '../sys/index.ts';
import { certificateIssuer } from '../tpm/index.ts';

export interface TlsIdentity {
  /** Certificate and private key, PEM, in one text: node:tls finds each. */
  readonly pem: string;
  /** SHA-256 of the certificate's DER, lower-case hex: what agents pin. */
  readonly fingerprint: string;
}

const DAY_MS = 86_400_000;

/** Reads the certificate of the data folder, or makes it. @throws {SysError} where others may change the folder */
export async function tlsIdentity(folder: string, now: number): Promise<TlsIdentity> {
  await privateFolder(folder);
  const path = join(folder, 'tls.pem');
  if (!existsSync(path)) await writeIdentity(path, now);
  const pem = readFileSync(path, 'utf8');
  return { pem, fingerprint: hash('sha256', new X509Certificate(pem).raw, 'hex') };
}

/** Key and certificate in one file, moved into place: a crash leaves none or both, never a pair that does not fit. */
async function writeIdentity(path: string, now: number): Promise<void> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const certificate = await selfSigned(publicKey, privateKey, now);
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  await replaceFile(path, `${certificate}${key}`);
}

/** Without extensions, because nothing but the fingerprint is looked at. */
async function selfSigned(publicKey: KeyObject, privateKey: KeyObject, now: number): Promise<X509Certificate> {
  const { issueCertificate } = await certificateIssuer();
  const name = { subject: 'Assay server', issuer: 'Assay server' };
  const dates = { from: new Date(now - DAY_MS), until: new Date(now + 3652 * DAY_MS) };
  return new X509Certificate(issueCertificate({ ...name, ...dates, publicKey }, privateKey));
}
