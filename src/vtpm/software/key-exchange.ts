/** Key exchange in two phases (Part 1, C.5; NIST SP 800-56A, 5.7; GB/T 32918.3; Part 4, CryptEccKeyExchange.c). */
import type { TPMI_ECC_CURVE, TPMS_ECC_POINT } from '../../tpm/index.ts';
import { CURVES } from './curves.ts';
import { mod, sumOfProducts, toBigInt } from './ecc.ts';

export interface Exchange {
  readonly curve: TPMI_ECC_CURVE;
  /** Of this side: the static and the ephemeral scalar. */
  readonly staticScalar: bigint;
  readonly ephemeralScalar: bigint;
  /** Of the other side; both are on the curve. */
  readonly staticPoint: TPMS_ECC_POINT;
  readonly ephemeralPoint: TPMS_ECC_POINT;
}

export interface Shared {
  readonly outZ1: TPMS_ECC_POINT;
  readonly outZ2: TPMS_ECC_POINT;
}

const NONE: TPMS_ECC_POINT = { x: new Uint8Array(0), y: new Uint8Array(0) };

function bitLength(value: bigint): number {
  return value.toString(2).length;
}

/** Full Unified Model: one secret of each pair of keys. Undefined where one is the point at infinity. */
export function ecdhExchange(exchange: Exchange): Shared | undefined {
  const { curve, staticScalar, ephemeralScalar, staticPoint, ephemeralPoint } = exchange;
  const outZ1 = sumOfProducts(curve, { scalar: staticScalar, point: staticPoint });
  const outZ2 = sumOfProducts(curve, { scalar: ephemeralScalar, point: ephemeralPoint });
  return outZ1 === undefined || outZ2 === undefined ? undefined : { outZ1, outZ2 };
}

/** The low half of an x-coordinate, with the bit above it set. */
function half(x: bigint, bits: number): bigint {
  return (x % (1n << BigInt(bits))) | (1n << BigInt(bits));
}

/** SP 800-56A, 5.7.2.3: z = (dₑ + x̄(Qₑ)·dₛ)·(Qₑ' + x̄(Qₑ')·Qₛ') */
export function mqvExchange(exchange: Exchange): Shared | undefined {
  const { n } = CURVES[exchange.curve];
  const bits = Math.ceil(bitLength(n) / 2);
  const own = ownHalf(exchange, bits);
  if (own === undefined) return undefined;
  const t = mod(exchange.ephemeralScalar + own * exchange.staticScalar, n);
  return combined(exchange, t, 1n, half(toBigInt(exchange.ephemeralPoint.x), bits));
}

/** GB/T 32918.3, 6.1: the halves go with the ephemeral keys, and are one bit shorter. */
export function sm2Exchange(exchange: Exchange): Shared | undefined {
  const { n } = CURVES[exchange.curve];
  const bits = Math.floor((bitLength(n) - 1) / 2);
  const own = ownHalf(exchange, bits);
  if (own === undefined) return undefined;
  const t = mod(exchange.staticScalar + own * exchange.ephemeralScalar, n);
  return combined(exchange, t, half(toBigInt(exchange.ephemeralPoint.x), bits), 1n);
}

function ownHalf({ curve, ephemeralScalar }: Exchange, bits: number): bigint | undefined {
  const point = sumOfProducts(curve, { scalar: ephemeralScalar });
  return point === undefined ? undefined : half(toBigInt(point.x), bits);
}

/** t·(a·Qₑ' + b·Qₛ') */
function combined({ curve, staticPoint, ephemeralPoint }: Exchange, t: bigint, a: bigint, b: bigint) {
  const z = sumOfProducts(curve, { scalar: t * a, point: ephemeralPoint }, { scalar: t * b, point: staticPoint });
  return z === undefined ? undefined : { outZ1: z, outZ2: NONE };
}
