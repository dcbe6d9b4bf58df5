/** The CA that certifies software TPMs' endorsement keys: its name says that it vouches for nothing. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createFile, privateFolder } from '../../sys/index.ts';
import { stateIo, VtpmError } from '../error.ts';
import { bits, der, integer, octets, oid, sequence, set, TRUE, time, utf8 } from './der.ts';

const CA_NAME = 'Assay Software TPM demonstration CA - not a hardware TPM';
const EK_NAME = 'Assay software TPM endorsement key - not a hardware TPM';

/** RFC 5280, 4.1.2.5: no well-defined end. */
const NO_END = new Date('9999-12-31T23:59:59Z');

export interface CertificateAuthority {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const commonName = (text: string): Buffer => sequence(set(sequence(oid('2.5.4.3'), utf8(text))));
const extension = (id: string, isCritical: boolean, value: Uint8Array): Buffer =>
  sequence(oid(id), ...(isCritical ? [TRUE] : []), octets(value));

/** RFC 5280, 4.2.1.2, method 1: SHA-1 of the key's bit string; it names the key and secures nothing. */
function keyIdentifier(key: KeyObject): Buffer {
  const spki = key.export({ type: 'spki', format: 'der' });
  return createHash('sha1').update(spki).digest();
}

interface Certificate {
  readonly subject: Buffer;
  readonly publicKey: KeyObject;
  readonly issuer: Buffer;
  readonly extensions: readonly Buffer[];
}

function issue({ subject, publicKey, issuer, extensions }: Certificate, key: KeyObject): X509Certificate {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const body = sequence(
    der(0xa0, integer(Buffer.of(2))),
    integer(serial),
    ECDSA_SHA256,
    issuer,
    sequence(time(new Date(Date.now() - 86_400_000)), time(NO_END)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  return new X509Certificate(sequence(body, ECDSA_SHA256, bits(sign('sha256', body, key))));
}

/** The authority of a folder, `certificate.pem` and `key.pem`, made when it is first asked for: by one of all who ask. */
export async function certificateAuthority(folder: string): Promise<CertificateAuthority> {
  try {
    await privateFolder(folder);
    const key = parsed(await kept(join(folder, 'key.pem'), newKey), createPrivateKey);
    const certificate = parsed(await kept(join(folder, 'certificate.pem'), () => selfSigned(key)), x509);
    if (!certificate.checkPrivateKey(key)) throw damaged(folder, 'the key is not the certificate’s');
    return { certificate, key };
  } catch (error) {
    throw error instanceof VtpmError ? error : stateIo('the CA of the software TPM cannot be used', error);
  }
}

interface KeptFile {
  readonly path: string;
  readonly content: Buffer;
}

/** What the file has; where it is not there, it is made first. */
async function kept(path: string, make: () => string): Promise<KeptFile> {
  if (!existsSync(path)) await createFile(path, make());
  return { path, content: await readFile(path) };
}

function parsed<T>({ path, content }: KeptFile, parse: (pem: Buffer) => T): T {
  try {
    return parse(content);
  } catch {
    throw damaged(path, 'it is not what was written');
  }
}

function damaged(path: string, what: string): VtpmError {
  return new VtpmError('vtpm.state-damaged', `the CA of the software TPM, ${path}: ${what}`, {
    advice: 'restore it from a backup, or move it away: another CA, for new software TPMs, is made then',
  });
}

const x509 = (pem: Buffer): X509Certificate => new X509Certificate(pem);

function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

function selfSigned(key: KeyObject): string {
  const publicKey = createPublicKey(key);
  const name = commonName(CA_NAME);
  const extensions = [
    extension('2.5.29.19', true, sequence(TRUE, integer(Buffer.of(0)))),
    extension('2.5.29.15', true, bits(Buffer.of(0x06), 1)), // keyCertSign, cRLSign
    extension('2.5.29.14', false, octets(keyIdentifier(publicKey))),
  ];
  return issue({ subject: name, publicKey, issuer: name, extensions }, key).toString();
}

/** TCG EK Credential Profile, 3.2.9: who made the TPM, as a directory name with TCG's attributes. */
function tpmIdentity(): Buffer {
  const attribute = (id: string, text: string): Buffer => set(sequence(oid(id), utf8(text)));
  const manufacturer = Buffer.from('ASSY', 'latin1').toString('hex').toUpperCase();
  const name = sequence(
    attribute('2.23.133.2.1', `id:${manufacturer}`),
    attribute('2.23.133.2.2', 'Assay software TPM'),
    attribute('2.23.133.2.3', 'id:00000001'),
  );
  return sequence(der(0xa4, name));
}

/** A certificate for an endorsement key (TCG EK Credential Profile, 3.2). @returns DER */
export function certifyEndorsementKey({ key }: CertificateAuthority, publicKey: KeyObject): Uint8Array {
  const usage = publicKey.asymmetricKeyType === 'rsa' ? bits(Buffer.of(0x20), 5) : bits(Buffer.of(0x08), 3);
  const extensions = [
    extension('2.5.29.35', false, sequence(der(0x80, keyIdentifier(createPublicKey(key))))),
    extension('2.5.29.19', true, sequence()),
    extension('2.5.29.15', true, usage), // keyEncipherment, keyAgreement
    extension('2.5.29.37', false, sequence(oid('2.23.133.8.1'))), // tcg-kp-EKCertificate
    extension('2.5.29.17', false, tpmIdentity()),
  ];
  const issued = issue({ subject: commonName(EK_NAME), publicKey, issuer: commonName(CA_NAME), extensions }, key);
  return issued.raw;
}
