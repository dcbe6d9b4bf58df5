/** How signatures name their key: 32 bits in formats 2 and 3, 64 bits in format 1. */
import type { KeyObject } from 'node:crypto';
import { digest } from '../bytes/index.ts';
import { type CertificateParts, publicKeyBits } from './certificate.ts';
import { DigsigError } from './error.ts';

declare const brand: unique symbol;

/** The last 32 bits of what names the key; the kernel looks it up as `id:%08x`. */
export type KeyId = number & { readonly [brand]: 'KeyId' };

function isKeyId(value: number): value is KeyId {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}

/** @throws {DigsigError} `digsig.key-id` for what is no 32-bit number */
export function keyId(value: number): KeyId {
  if (isKeyId(value)) return value;
  throw new DigsigError('digsig.key-id', `${value} is no 32-bit key id`);
}

/** Up to 8 hex digits, with or without `0x`. @throws {DigsigError} `digsig.key-id` */
export function parseKeyId(text: string): KeyId {
  if (/^(?:0x)?[0-9a-f]{1,8}$/i.test(text)) return keyId(Number.parseInt(text, 16));
  throw new DigsigError('digsig.key-id', `'${text}' is no key id`, { advice: 'give 1 to 8 hex digits' });
}

/** Eight hex digits, as the kernel prints it. */
export function formatKeyId(id: KeyId): string {
  return id.toString(16).padStart(8, '0');
}

function lastWord(bytes: Uint8Array): KeyId {
  return keyId(Buffer.from(bytes.slice(-4)).readUInt32BE());
}

/**
 * The last 4 bytes of SHA-1 over the public key's BIT STRING (ima-evm-utils, `calc_keyid_v2`).
 * @param spki SubjectPublicKeyInfo in DER
 * @throws {ParseError}
 */
export function keyIdOfPublicKey(spki: Uint8Array): KeyId {
  return lastWord(digest('sha1', publicKeyBits(spki)));
}

/**
 * The last 4 bytes of the Subject Key Identifier; where it is missing or shorter than that ({@link hasKeyId}), the public
 * key's id: ima-evm-utils signs with it all the same, and verifies its own signatures.
 */
export function keyIdOfCertificate({ skid, spki }: Pick<CertificateParts, 'skid' | 'spki'>): KeyId {
  return hasKeyId({ skid }) && skid !== undefined ? lastWord(skid) : keyIdOfPublicKey(spki);
}

/**
 * False for a certificate that the kernel finds by no key id (`x509_public_key.c`, x509_key_preparse: its ids are serial
 * number with issuer, SKID, and lately the subject; `asymmetric_type.c`, asymmetric_key_id_partial compares their ends).
 */
export function hasKeyId({ skid }: Pick<CertificateParts, 'skid'>): boolean {
  return skid !== undefined && skid.length >= 4;
}

/**
 * The id of format 1: the last 8 bytes of SHA-1 over the key in the form that `evmctl convert` makes for the kernel
 * (`lib/digsig.c`, struct pubkey_hdr). Undefined for keys other than RSA, which format 1 does not have.
 */
export function keyIdV1(key: KeyObject): Buffer | undefined {
  const bytes = publicKeyV1(key);
  return bytes === undefined ? undefined : digest('sha1', bytes).subarray(-8);
}

/** version 1, timestamp 0, algorithm RSA (0), 2 numbers; then n and e, each with its length in bits. */
export function publicKeyV1(key: KeyObject): Buffer | undefined {
  if (key.asymmetricKeyType !== 'rsa') return undefined;
  const { n = '', e = '' } = key.export({ format: 'jwk' });
  return Buffer.concat([Buffer.of(1, 0, 0, 0, 0, 0, 2), multiPrecision(n), multiPrecision(e)]);
}

function multiPrecision(base64url: string): Buffer {
  const bytes = Buffer.from(base64url, 'base64url'); // JWK numbers have no leading zero byte (RFC 7518, 2)
  const bits = bytes.length * 8 - Math.clz32(bytes[0] ?? 0) + 24;
  const head = Buffer.alloc(2);
  head.writeUInt16BE(bits);
  return Buffer.concat([head, bytes]);
}
