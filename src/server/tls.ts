/**
 * The server's own TLS certificate. No authority vouches for it: agents pin its SHA-256 fingerprint, which the join line
 * carries, so neither a name nor a public root matters. Made once, kept in the data folder.
 */
import { generateKeyPairSync, hash, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bitString, explicit, integer, objectIdentifier, sequence, set, time, utf8String } from './der.ts';

export interface TlsIdentity {
  /** Certificate and private key, PEM, in one text: node:tls finds each. */
  readonly pem: string;
  /** SHA-256 of the certificate's DER, lower-case hex: what agents pin. */
  readonly fingerprint: string;
}

const DAY_MS = 86_400_000;

/** Reads the certificate of the data folder, or makes it. */
export function tlsIdentity(folder: string, now: number): TlsIdentity {
  const path = join(folder, 'tls.pem');
  if (!existsSync(path)) writeIdentity(folder, path, now);
  const pem = readFileSync(path, 'utf8');
  return { pem, fingerprint: hash('sha256', new X509Certificate(pem).raw, 'hex') };
}

/** Key and certificate in one file, moved into place: a crash leaves none or both, never a pair that does not fit. */
function writeIdentity(folder: string, path: string, now: number): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const certificate = selfSigned(publicKey, privateKey, now);
  const partial = `${path}.${process.pid}`;
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(partial, `${pemOf(certificate)}${key}`, { mode: 0o600, flush: true });
  renameSync(partial, path);
}

const ECDSA_WITH_SHA256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
const COMMON_NAME = objectIdentifier('2.5.4.3');
const X509_V3 = explicit(0, integer(Buffer.from([2])));

/** RFC 5280, 4.1; without extensions, because nothing but the fingerprint is looked at. */
function selfSigned(publicKey: KeyObject, privateKey: KeyObject, now: number): Buffer {
  const name = sequence(set(sequence(COMMON_NAME, utf8String('Assay server'))));
  const validity = sequence(time(new Date(now - DAY_MS)), time(new Date(now + 3652 * DAY_MS)));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const tbs = sequence(X509_V3, integer(randomBytes(16)), ECDSA_WITH_SHA256, name, validity, name, spki);
  return sequence(tbs, ECDSA_WITH_SHA256, bitString(sign('sha256', tbs, privateKey)));
}

function pemOf(certificate: Buffer): string {
  const lines = certificate.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}
