/** Between TPM public areas and the crypto library's keys. */
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { TpmError } from './errors.ts';
import type { TPMT_PUBLIC } from './structures.ts';

/** The curves that node:crypto and TPMs share; size of a coordinate in bytes. */
const CURVES = {
  p256: { jwk: 'P-256', openssl: 'prime256v1', size: 32 },
  p384: { jwk: 'P-384', openssl: 'secp384r1', size: 48 },
  p521: { jwk: 'P-521', openssl: 'secp521r1', size: 66 },
} as const;

export type NistCurve = keyof typeof CURVES;

/** Size of a coordinate in bytes. @throws {TpmError} `tpm.unsupported` for a curve that is not NIST P-256, P-384 or P-521 */
export function curveSize(curve: string): number {
  return curveInfo(curve).size;
}

function curveInfo(curve: string): (typeof CURVES)[NistCurve] {
  if (Object.hasOwn(CURVES, curve)) return CURVES[curve as NistCurve]; // hasOwn says so
  throw new TpmError('tpm.unsupported', `elliptic curve ${curve} is not supported`);
}

/** A big-endian number at exactly `size` bytes: TPMs may leave leading zeros out. */
export function padNumber(bytes: Uint8Array, size: number): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const significant = start < 0 ? new Uint8Array(0) : bytes.subarray(start);
  if (significant.length > size) {
    throw new TpmError('tpm.malformed', `a number of ${significant.length} bytes where at most ${size} fit`);
  }
  const padded = Buffer.alloc(size);
  padded.set(significant, size - significant.length);
  return padded;
}

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

function jwkOf(area: TPMT_PUBLIC): JsonWebKey {
  if (area.type === 'rsa') {
    const exponent = area.parameters.exponent === 0 ? 65537 : area.parameters.exponent;
    return { kty: 'RSA', n: base64url(area.unique), e: base64url(bigEndian(exponent)) };
  }
  if (area.type === 'ecc') {
    const { jwk, size } = curveInfo(area.parameters.curveID);
    const { x, y } = area.unique;
    return { kty: 'EC', crv: jwk, x: base64url(padNumber(x, size)), y: base64url(padNumber(y, size)) };
  }
  throw new TpmError('tpm.unsupported', `a ${area.type} object has no public key`);
}

function bigEndian(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes.subarray(bytes.findIndex((byte) => byte !== 0));
}

/**
 * The public key of an RSA or ECC object.
 * @throws {TpmError} `tpm.unsupported` for other objects and curves, `tpm.malformed` where the point is not on its curve
 */
export function publicKeyOf(area: TPMT_PUBLIC): KeyObject {
  const jwk = jwkOf(area);
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch (cause) {
    throw new TpmError('tpm.malformed', `the ${area.type} public key is not a valid key`, { cause });
  }
}

/** What a TPMT_PUBLIC holds in `unique` for this key, numbers at their full size. */
export function uniqueOf(
  key: KeyObject,
):
  | { type: 'rsa'; keyBits: number; unique: Buffer }
  | { type: 'ecc'; curve: NistCurve; unique: { x: Buffer; y: Buffer } } {
  const jwk = key.export({ format: 'jwk' });
  if (jwk.kty === 'RSA' && jwk.n !== undefined) {
    const unique = Buffer.from(jwk.n, 'base64url');
    return { type: 'rsa', keyBits: unique.length * 8, unique };
  }
  if (jwk.kty === 'EC' && jwk.x !== undefined && jwk.y !== undefined) {
    const curve = (Object.keys(CURVES) as NistCurve[]).find((name) => CURVES[name].jwk === jwk.crv);
    if (curve !== undefined) {
      const { size } = CURVES[curve];
      const coordinate = (text: string): Buffer => padNumber(Buffer.from(text, 'base64url'), size);
      return { type: 'ecc', curve, unique: { x: coordinate(jwk.x), y: coordinate(jwk.y) } };
    }
  }
  throw new TpmError('tpm.unsupported', `a ${key.asymmetricKeyType ?? key.type} key is no TPM key`);
}
