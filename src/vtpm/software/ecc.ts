/**
 * Arithmetic on the curves (Part 4, CryptEccMain.c). Multiples of the generator come from OpenSSL where it knows the
 * curve; everything else from @noble/curves, as OpenSSL gives no y-coordinate of other products.
 */
import { createECDH } from 'node:crypto';
import { createRequire } from 'node:module';
import type * as Weierstrass from '@noble/curves/abstract/weierstrass.js';
import type { TPMI_ECC_CURVE, TPMS_ECC_POINT } from '../../tpm/index.ts';
import { CURVES, type Curve } from './curves.ts';

/** Curves that node:crypto has keys for, and its name for them. */
export const JWK_CURVES = { p256: 'P-256', p384: 'P-384', p521: 'P-521' } as const;

const OPENSSL_NAMES: Readonly<Partial<Record<TPMI_ECC_CURVE, string>>> = {
  p192: 'prime192v1',
  p224: 'secp224r1',
  p256: 'prime256v1',
  p384: 'secp384r1',
  p521: 'secp521r1',
};

export function hasNodeKeys(curve: TPMI_ECC_CURVE): curve is keyof typeof JWK_CURVES {
  return Object.hasOwn(JWK_CURVES, curve);
}

export function toBigInt(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex') || '0'}`);
}

/** A number at exactly `size` bytes, which hold it. */
export function toBytes(value: bigint, size: number): Buffer {
  return Buffer.from(value.toString(16).padStart(size * 2, '0'), 'hex');
}

export function mod(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

export function inverse(value: bigint, modulus: bigint): bigint {
  let [r0, r1] = [modulus, mod(value, modulus)];
  let [t0, t1] = [0n, 1n];
  while (r1 !== 0n) {
    const quotient = r0 / r1;
    [r0, r1] = [r1, r0 - quotient * r1];
    [t0, t1] = [t1, t0 - quotient * t1];
  }
  return mod(t0, modulus);
}

export function pointOf({ size }: Curve, x: bigint, y: bigint): TPMS_ECC_POINT {
  return { x: toBytes(x, size), y: toBytes(y, size) };
}

/** BnIsOnCurve: coordinates are numbers of any length, and taken modulo the prime. */
export function isOnCurve(curve: TPMI_ECC_CURVE, point: TPMS_ECC_POINT): boolean {
  const { p, a, b } = CURVES[curve];
  const [x, y] = [toBigInt(point.x), toBigInt(point.y)];
  return mod(y * y, p) === mod((x * x + a) * x + b, p);
}

type NoblePoint = Weierstrass.WeierstrassPoint<bigint>;
const constructors = new Map<TPMI_ECC_CURVE, Weierstrass.WeierstrassPointCons<bigint>>();

/** Made when first needed: most TPMs never leave the curves of OpenSSL. */
function nobleCurve(name: TPMI_ECC_CURVE): Weierstrass.WeierstrassPointCons<bigint> {
  const known = constructors.get(name);
  if (known !== undefined) return known;
  const { weierstrass }: typeof Weierstrass = createRequire(import.meta.url)('@noble/curves/abstract/weierstrass.js');
  const { p, a, b, n, gX, gY } = CURVES[name];
  const made = weierstrass({ p, a, b, n, h: 1n, Gx: gX, Gy: gY });
  constructors.set(name, made);
  return made;
}

function noblePoint(curve: TPMI_ECC_CURVE, point: TPMS_ECC_POINT): NoblePoint {
  const { p } = CURVES[curve];
  return nobleCurve(curve).fromAffine({ x: mod(toBigInt(point.x), p), y: mod(toBigInt(point.y), p) });
}

/** Undefined for the point at infinity, which has no coordinates (TPM_RC_NO_RESULT). */
function affine(curve: TPMI_ECC_CURVE, point: NoblePoint): TPMS_ECC_POINT | undefined {
  if (point.is0()) return undefined;
  const { x, y } = point.toAffine();
  return pointOf(CURVES[curve], x, y);
}

/** One term of {@link sumOfProducts}: the scalar, and its point or the generator. */
export interface Term {
  readonly scalar: bigint;
  readonly point?: TPMS_ECC_POINT;
}

/** Σ scalar·point; undefined for the point at infinity. The points are on the curve. */
export function sumOfProducts(curve: TPMI_ECC_CURVE, ...terms: readonly Term[]): TPMS_ECC_POINT | undefined {
  const { n } = CURVES[curve];
  const { BASE, ZERO } = nobleCurve(curve);
  const products = terms.map(({ scalar, point }) =>
    (point === undefined ? BASE : noblePoint(curve, point)).multiplyUnsafe(mod(scalar, n)),
  );
  return affine(
    curve,
    products.reduce((sum, product) => sum.add(product), ZERO),
  );
}

/** scalar·point, or scalar·G. @returns undefined for the point at infinity */
export function multiply(
  curve: TPMI_ECC_CURVE,
  scalar: Uint8Array,
  point?: TPMS_ECC_POINT,
): TPMS_ECC_POINT | undefined {
  const { n } = CURVES[curve];
  const reduced = mod(toBigInt(scalar), n);
  if (reduced === 0n) return undefined;
  if (point !== undefined) return sumOfProducts(curve, { scalar: reduced, point });
  return generatorMultiple(curve, reduced);
}

function generatorMultiple(curve: TPMI_ECC_CURVE, scalar: bigint): TPMS_ECC_POINT | undefined {
  const name = OPENSSL_NAMES[curve];
  if (name === undefined) return sumOfProducts(curve, { scalar });
  const { size, n } = CURVES[curve];
  const ecdh = createECDH(name);
  ecdh.setPrivateKey(toBytes(scalar, Math.ceil(n.toString(16).length / 2)));
  const encoded = ecdh.getPublicKey();
  return { x: encoded.subarray(1, 1 + size), y: encoded.subarray(1 + size) };
}

/** CryptEccIsValidPrivateKey: 1…n−1. */
export function isPrivateScalar(curve: TPMI_ECC_CURVE, d: Uint8Array): boolean {
  const scalar = toBigInt(d);
  return scalar > 0n && scalar < CURVES[curve].n;
}
