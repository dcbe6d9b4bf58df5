/** Reads the keys that verify: certificates and bare public keys, PEM or DER. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { digest, ParseError } from '../bytes/index.ts';
import { type CertificateParts, parseCertificate } from './certificate.ts';
import { DerReader, der, oid, TAG } from './der.ts';
import { DigsigError } from './error.ts';
import { formatKeyId, hasKeyId, type KeyId, keyIdOfCertificate, keyIdOfPublicKey, keyIdV1 } from './key-id.ts';
import { type KeyKind, openPublicKey } from './key-kind.ts';
import { type PemBlock, pemBlocks } from './pem.ts';

/** A key that verifies signatures. */
export interface IntegrityKey extends KeyKind {
  readonly publicKey: KeyObject;
  readonly keyId: KeyId;
  /** False for a certificate without subject key identifier: the kernel finds no key of that id. */
  readonly isFoundById: boolean;
  /** 8 bytes; RSA alone. */
  readonly keyIdV1: Buffer | undefined;
  /** The certificate's subject on one line; `key 1a2b3c4d` for a bare key. */
  readonly name: string;
  /** Where it was read: a file's name, for people. */
  readonly source: string;
  /** SHA-256 of SubjectPublicKeyInfo: equal for the same key, whatever file held it. */
  readonly fingerprint: Buffer;
  /** Of a certificate. The kernel's keyrings do not look at the dates after loading; judging them is the caller's. */
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** The certificate in DER. */
  readonly certificate?: Buffer;
}

export interface ReadKeysOptions {
  /** What the bytes are called in messages. */
  readonly source: string;
  /** Instead of what the certificate or the key says. */
  readonly keyId?: KeyId;
}

/** A bundle of a thousand certificates is smaller. */
export const MAX_KEYS_SIZE = 4 << 20;

const NOT_A_KEY_ADVICE = 'give an X.509 certificate or a public key, in PEM or DER';

/**
 * Every certificate and public key in a file: PEM (any number of blocks), X.509 in DER, SubjectPublicKeyInfo in DER, or
 * PKCS#1 RSAPublicKey in DER. Private keys are never read here.
 * @throws {DigsigError} `digsig.not-a-key`, `digsig.unsupported-key`
 */
export function readPublicKeys(bytes: Uint8Array, options: ReadKeysOptions): IntegrityKey[] {
  const { source } = options;
  if (bytes.length > MAX_KEYS_SIZE) throw notAKey(source, `${bytes.length} bytes are too many for keys`);
  const blocks = pemBlocks(bytes);
  if (blocks.length === 0) return [readDer(Buffer.from(bytes), options)];
  const keys = blocks.flatMap((block) => readBlock(block, options));
  if (keys.length > 0) return keys;
  throw notAKey(source, `only ${blocks.map((block) => block.label).join(', ')} in it`);
}

function notAKey(source: string, detail: string, cause?: unknown): DigsigError {
  return new DigsigError('digsig.not-a-key', `${source}: no public key: ${detail}`, {
    advice: NOT_A_KEY_ADVICE,
    cause,
  });
}

function readBlock({ label, bytes }: PemBlock, options: ReadKeysOptions): IntegrityKey[] {
  const known = ['CERTIFICATE', 'X509 CERTIFICATE', 'TRUSTED CERTIFICATE', 'PUBLIC KEY', 'RSA PUBLIC KEY'];
  if (!known.includes(label)) return [];
  return [readDer(label === 'TRUSTED CERTIFICATE' ? firstElement(bytes) : bytes, options)];
}

/** OpenSSL's TRUSTED CERTIFICATE appends its own settings to the certificate. */
function firstElement(bytes: Buffer): Buffer {
  return Buffer.from(new DerReader(bytes).whole(TAG.sequence, 'certificate'));
}

function readDer(bytes: Buffer, options: ReadKeysOptions): IntegrityKey {
  try {
    return isCertificate(bytes) ? fromCertificate(bytes, options) : fromSpki(asSpki(bytes), options);
  } catch (error) {
    if (error instanceof ParseError) throw notAKey(options.source, error.message, error);
    throw error;
  }
}

/** All three forms are a SEQUENCE: a certificate's first element is one of three, a SubjectPublicKeyInfo's one of two. */
function isCertificate(bytes: Buffer): boolean {
  const inner = new DerReader(bytes).enter(TAG.sequence, 'key or certificate');
  inner.whole(undefined, 'first element');
  if (inner.isAtEnd) return false;
  inner.whole(undefined, 'second element');
  return !inner.isAtEnd;
}

const RSA_IDENTIFIER = der(TAG.sequence, oid('1.2.840.113549.1.1.1'), der(TAG.null));

/** PKCS#1 RSAPublicKey is wrapped; its first element is an INTEGER. */
function asSpki(bytes: Buffer): Buffer {
  const outer = new DerReader(bytes);
  const first = outer.enter(TAG.sequence, 'public key').tag;
  outer.end('public key');
  if (first !== TAG.integer) return bytes;
  return der(TAG.sequence, RSA_IDENTIFIER, der(TAG.bitString, Buffer.of(0), bytes));
}

function fromCertificate(bytes: Buffer, { source, keyId }: ReadKeysOptions): IntegrityKey {
  const parts: CertificateParts = parseCertificate(bytes);
  const certificate = x509(bytes, source);
  return {
    ...integrityKey(parts.spki, source, keyId ?? keyIdOfCertificate(parts)),
    isFoundById: hasKeyId(parts),
    name: certificate.subject?.replaceAll('\n', ', ') || 'a certificate without a subject',
    notBefore: new Date(certificate.validFrom),
    notAfter: new Date(certificate.validTo),
    certificate: bytes,
  };
}

function x509(bytes: Buffer, source: string): X509Certificate {
  try {
    return new X509Certificate(bytes);
  } catch (cause) {
    throw notAKey(source, 'the crypto library does not take this certificate', cause);
  }
}

function fromSpki(spki: Buffer, { source, keyId }: ReadKeysOptions): IntegrityKey {
  const id = keyId ?? keyIdOfPublicKey(spki);
  return { ...integrityKey(spki, source, id), name: `key ${formatKeyId(id)}` };
}

function integrityKey(spki: Uint8Array, source: string, keyId: KeyId): Omit<IntegrityKey, 'name'> {
  const opened = openPublicKey(spki, source);
  const names = { keyId, keyIdV1: keyIdV1(opened.publicKey), isFoundById: true };
  return { ...opened, ...names, source, fingerprint: digest('sha256', spki) };
}
