/** Signatures on elliptic curves over a digest that is given (Part 1, C.4; Part 4, CryptEccSignature.c). */
import { type DigestAlgorithm, digest } from '../../bytes/index.ts';
import type { TPMI_ECC_CURVE, TPMS_ECC_POINT } from '../../tpm/index.ts';
import { CURVES, type Curve } from './curves.ts';
import { inverse, mod, sumOfProducts, toBigInt, toBytes } from './ecc.ts';

type Random = (size: number) => Uint8Array;

export interface Halves {
  readonly signatureR: Uint8Array;
  readonly signatureS: Uint8Array;
}

function bitLength(value: bigint): number {
  return value.toString(2).length;
}

function orderSize({ n }: Curve): number {
  return Math.ceil(bitLength(n) / 8);
}

function halves(curve: Curve, r: bigint, s: bigint): Halves {
  const size = orderSize(curve);
  return { signatureR: toBytes(r, size), signatureS: toBytes(s, size) };
}

interface Ephemeral {
  readonly k: bigint;
  /** x-coordinate of k·G. */
  readonly x: bigint;
}

function ephemeral(name: TPMI_ECC_CURVE, random: Random): Ephemeral {
  const { n, size } = CURVES[name];
  for (;;) {
    const k = (toBigInt(random(size + 8)) % (n - 1n)) + 1n;
    const point = sumOfProducts(name, { scalar: k });
    if (point !== undefined) return { k, x: toBigInt(point.x) };
  }
}

/** The leftmost bits of a digest, as many as the order has (FIPS 186-4, 6.4). */
function leftmost({ n }: Curve, hashed: Uint8Array): bigint {
  const surplus = hashed.length * 8 - bitLength(n);
  return surplus > 0 ? toBigInt(hashed) >> BigInt(surplus) : toBigInt(hashed);
}

// --- ECDSA (FIPS 186-4, 6.4) ------------------------------------------------------------------------------------------

export function signEcdsa(name: TPMI_ECC_CURVE, d: bigint, hashed: Uint8Array, random: Random): Halves {
  const curve = CURVES[name];
  const { n } = curve;
  for (;;) {
    const { k, x } = ephemeral(name, random);
    const r = x % n;
    const s = mod(inverse(k, n) * (leftmost(curve, hashed) + r * d), n);
    if (r !== 0n && s !== 0n) return halves(curve, r, s);
  }
}

export function isGoodEcdsa(
  name: TPMI_ECC_CURVE,
  key: TPMS_ECC_POINT,
  hashed: Uint8Array,
  r: bigint,
  s: bigint,
): boolean {
  const curve = CURVES[name];
  const { n } = curve;
  const w = inverse(s, n);
  const point = sumOfProducts(name, { scalar: leftmost(curve, hashed) * w }, { scalar: r * w, point: key });
  return point !== undefined && toBigInt(point.x) % n === r;
}

// --- EC Schnorr (Part 1, C.4.3) ---------------------------------------------------------------------------------------

/** H(x ‖ digest), cut to the bytes of the order. */
function challenge(curve: Curve, x: bigint, hashAlg: DigestAlgorithm, hashed: Uint8Array): bigint {
  const size = orderSize(curve);
  return toBigInt(digest(hashAlg, toBytes(x, size), hashed).subarray(0, size));
}

export function signSchnorr(
  name: TPMI_ECC_CURVE,
  d: bigint,
  hashAlg: DigestAlgorithm,
  hashed: Uint8Array,
  random: Random,
): Halves {
  const curve = CURVES[name];
  for (;;) {
    const { k, x } = ephemeral(name, random);
    const r = challenge(curve, x, hashAlg, hashed);
    const s = mod(k + r * d, curve.n);
    if (r % curve.n !== 0n && s !== 0n) return halves(curve, r, s);
  }
}

export function isGoodSchnorr(
  name: TPMI_ECC_CURVE,
  key: TPMS_ECC_POINT,
  hashAlg: DigestAlgorithm,
  hashed: Uint8Array,
  r: bigint,
  s: bigint,
): boolean {
  const point = sumOfProducts(name, { scalar: s }, { scalar: -r, point: key });
  return point !== undefined && challenge(CURVES[name], toBigInt(point.x), hashAlg, hashed) === r;
}

// --- SM2 (GB/T 32918.2) -----------------------------------------------------------------------------------------------

export function signSm2(name: TPMI_ECC_CURVE, d: bigint, hashed: Uint8Array, random: Random): Halves {
  const curve = CURVES[name];
  const { n } = curve;
  for (;;) {
    const { k, x } = ephemeral(name, random);
    const r = mod(toBigInt(hashed) + x, n);
    const s = mod(inverse(1n + d, n) * (k - r * d), n);
    if (r !== 0n && r + k !== n && s !== 0n) return halves(curve, r, s);
  }
}

export function isGoodSm2(
  name: TPMI_ECC_CURVE,
  key: TPMS_ECC_POINT,
  hashed: Uint8Array,
  r: bigint,
  s: bigint,
): boolean {
  const { n } = CURVES[name];
  const t = (r + s) % n;
  if (t === 0n) return false;
  const point = sumOfProducts(name, { scalar: s }, { scalar: t, point: key });
  return point !== undefined && mod(toBigInt(hashed) + toBigInt(point.x), n) === r;
}

// --- ECDAA (Part 1, C.4.2) --------------------------------------------------------------------------------------------

/** @param r committed to before; the signature's R is a nonce that the challenge holds */
export function signEcdaa(
  name: TPMI_ECC_CURVE,
  d: bigint,
  hashAlg: DigestAlgorithm,
  hashed: Uint8Array,
  r: bigint,
  random: Random,
): Halves {
  const curve = CURVES[name];
  for (;;) {
    const number = (toBigInt(random(curve.size + 8)) % (curve.n - 1n)) + 1n;
    // As a number, without leading zeros: so it is hashed by who verifies
    const nonce = toBytes(number, Math.ceil(number.toString(16).length / 2));
    const t = toBigInt(digest(hashAlg, nonce, hashed)) % curve.n;
    const s = mod(r + t * d, curve.n);
    if (t !== 0n && s !== 0n) return { signatureR: nonce, signatureS: toBytes(s, orderSize(curve)) };
  }
}
