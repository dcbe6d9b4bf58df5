/** The CA that certifies software TPMs' endorsement keys: its name says that it vouches for nothing. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createFile, privateFolder } from '../../sys/index.ts';
import { certificateIssuer } from '../../tpm/index.ts';
import { stateIo, VtpmError } from '../error.ts';

const CA_NAME = 'Assay Software TPM demonstration CA - not a hardware TPM';
const EK_NAME = 'Assay software TPM endorsement key - not a hardware TPM';
const TCG_KP_EK_CERTIFICATE = '2.23.133.8.1';

/** TCG EK Credential Profile, 3.2.9: who made the TPM (here ASSY, in hex), its model and its version. */
const TPM_IDENTITY = [
  ['2.23.133.2.1', 'id:41535359'],
  ['2.23.133.2.2', 'Assay software TPM'],
  ['2.23.133.2.3', 'id:00000001'],
] as const;

/** RFC 5280, 4.1.2.5: no well-defined end. */
const NO_END = new Date('9999-12-31T23:59:59Z');

export interface CertificateAuthority {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

const validity = (): { from: Date; until: Date } => ({ from: new Date(Date.now() - 86_400_000), until: NO_END });

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
async function kept(path: string, make: () => string | Promise<string>): Promise<KeptFile> {
  if (!existsSync(path)) await createFile(path, await make());
  return { path, content: await readFile(path) };
}

function parsed<T>({ path, content }: KeptFile, parse: (content: Buffer) => T): T {
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

const x509 = (content: Buffer): X509Certificate => new X509Certificate(content);

function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

async function selfSigned(key: KeyObject): Promise<string> {
  const { issueCertificate } = await certificateIssuer();
  const certificate = {
    subject: CA_NAME,
    issuer: CA_NAME,
    publicKey: createPublicKey(key),
    ...validity(),
    extensions: {
      basicConstraints: { cA: true, pathLenConstraint: 0 },
      keyUsage: ['keyCertSign', 'cRLSign'],
      subjectKeyIdentifier: true,
    },
  } as const;
  return x509(issueCertificate(certificate, key)).toString();
}

/** A certificate for an endorsement key (TCG EK Credential Profile, 3.2). @returns DER */
export async function certifyEndorsementKey({ key }: CertificateAuthority, publicKey: KeyObject): Promise<Uint8Array> {
  const { issueCertificate } = await certificateIssuer();
  const certificate = {
    subject: EK_NAME,
    issuer: CA_NAME,
    publicKey,
    ...validity(),
    extensions: {
      authorityKey: createPublicKey(key),
      basicConstraints: { cA: false },
      keyUsage: [publicKey.asymmetricKeyType === 'rsa' ? 'keyEncipherment' : 'keyAgreement'],
      extendedKeyUsage: [TCG_KP_EK_CERTIFICATE],
      subjectAltName: TPM_IDENTITY,
    },
  } as const;
  return issueCertificate(certificate, key);
}
