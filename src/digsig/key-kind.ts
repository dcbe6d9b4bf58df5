/** Which keys the integrity subsystem's signatures have: RSA up to 8192 bits, the NIST curves of the kernel, SM2. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { parsePublicKeyInfo } from './certificate.ts';
import { oid } from './der.ts';
import { DigsigError } from './error.ts';

export interface KeyKind {
  readonly kind: 'rsa' | 'ec' | 'sm2';
  readonly bits: number;
}

const RSA = oid('1.2.840.113549.1.1.1');
const EC = oid('1.2.840.10045.2.1');

/** SEC 2 and RFC 5480, 2.1.1.1; SM2 in GB/T 33560. Node has no name for SM2 keys: their curve tells. */
const CURVES: readonly { oid: Buffer; kind: 'ec' | 'sm2'; bits: number }[] = [
  { oid: oid('1.2.840.10045.3.1.1'), kind: 'ec', bits: 192 },
  { oid: oid('1.2.840.10045.3.1.7'), kind: 'ec', bits: 256 },
  { oid: oid('1.3.132.0.34'), kind: 'ec', bits: 384 },
  { oid: oid('1.3.132.0.35'), kind: 'ec', bits: 521 },
  { oid: oid('1.2.156.10197.1.301'), kind: 'sm2', bits: 256 },
];

const MAX_RSA_BITS = 8192;

/**
 * @param spki SubjectPublicKeyInfo in DER
 * @throws {DigsigError} `digsig.unsupported-key`, `digsig.not-a-key`
 * @throws {ParseError}
 */
export function openPublicKey(spki: Uint8Array, source: string): { publicKey: KeyObject } & KeyKind {
  const { algorithm, curve } = parsePublicKeyInfo(spki);
  if (RSA.equals(algorithm)) {
    const publicKey = importSpki(spki, source);
    const bits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
    if (bits > MAX_RSA_BITS) throw unsupported(source, `an RSA key of ${bits} bits`);
    return { publicKey, kind: 'rsa', bits };
  }
  if (!EC.equals(algorithm)) throw unsupported(source, 'a key that is neither RSA nor on an elliptic curve');
  const known = CURVES.find((one) => curve !== undefined && one.oid.equals(curve));
  if (known === undefined) throw unsupported(source, 'a key on another curve');
  return { publicKey: importSpki(spki, source), kind: known.kind, bits: known.bits };
}

function unsupported(source: string, what: string): DigsigError {
  return new DigsigError('digsig.unsupported-key', `${source}: ${what} is not supported`, {
    advice: 'use RSA up to 8192 bits, P-256, P-384, P-521 or SM2',
  });
}

function importSpki(spki: Uint8Array, source: string): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new DigsigError('digsig.not-a-key', `${source}: the crypto library does not take this public key`, { cause });
  }
}
