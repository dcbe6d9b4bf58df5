/** Keys from a stream of random bytes: the same stream gives the same key, which is what makes primary keys repeat. */
import { checkPrimeSync, createHmac } from 'node:crypto';
import { ByteWriter } from '../../bytes/index.ts';
import { KDFa, type TPMI_ECC_CURVE } from '../../tpm/index.ts';
import { CURVES } from './curves.ts';
import { inverse, multiply, toBigInt, toBytes } from './ecc.ts';
import { isProbablePrime } from './primality.ts';
import { refuse } from './refusal.ts';

/** Random bytes in sequence. */
export type ByteStream = (size: number) => Buffer;

/**
 * A stream that seed and context determine: KDFa gives the key, HMAC-SHA512 over a counter the bytes.
 * The derivation is this TPM's own; the specification leaves it to the maker (Part 1, 27.6.4).
 */
export function derivedStream(seed: Uint8Array, label: string, contextU: Uint8Array, contextV: Uint8Array): ByteStream {
  const key = KDFa('sha512', seed, label, contextU, contextV, 512);
  let counter = 0;
  let pool: Buffer = Buffer.alloc(0);
  return (size) => {
    while (pool.length < size) {
      const block = createHmac('sha512', key).update(new ByteWriter(4).u32be(++counter).finish()).digest();
      pool = Buffer.concat([pool, block]);
    }
    const out = Buffer.from(pool.subarray(0, size));
    pool = pool.subarray(size);
    return out;
  };
}

// --- ECC (FIPS 186-4, B.4.1) ------------------------------------------------------------------------------------------

export interface EccKey {
  readonly d: Buffer;
  readonly x: Uint8Array;
  readonly y: Uint8Array;
}

/** 64 bits more than the order has, so that the reduction leaves no bias that matters. */
export function eccKey(curve: TPMI_ECC_CURVE, random: ByteStream): EccKey {
  const { n, size } = CURVES[curve];
  const d = toBytes((toBigInt(random(size + 8)) % (n - 1n)) + 1n, size);
  const point = multiply(curve, d);
  return point === undefined ? refuse('NO_RESULT') : { d, ...point };
}

// --- RSA (FIPS 186-4, B.3.3, with an incremental search) --------------------------------------------------------------

const PUBLIC_EXPONENT = 65537;

/** Of more than these, dividing takes longer than it saves tests. */
const MAX_SMALL_PRIME = 1 << 15;
/** Odd primes by threes, whose product is still an exact number: a large number is divided once for each three. */
const SMALL_PRIMES: readonly { readonly product: bigint; readonly primes: readonly number[] }[] = (() => {
  const composite = new Uint8Array(MAX_SMALL_PRIME);
  const primes: number[] = [];
  for (let n = 3; n < composite.length; n += 2) {
    if (composite[n] === 1) continue;
    primes.push(n);
    for (let multiple = n * n; multiple < composite.length; multiple += 2 * n) composite[multiple] = 1;
  }
  const threes = Array.from({ length: Math.ceil(primes.length / 3) }, (_, i) => primes.slice(3 * i, 3 * i + 3));
  return threes.map((some) => ({ product: BigInt(some.reduce((product, small) => product * small)), primes: some }));
})();

/** Odd numbers that are looked at from one random start. */
const WINDOW = 4096;

/** For each odd number from `start` on whether it has a small factor: 1 where it has. */
function sieve(start: bigint): Uint8Array {
  const hasSmallFactor = new Uint8Array(WINDOW);
  for (const { product, primes } of SMALL_PRIMES) {
    const remainder = Number(start % product);
    for (const small of primes) {
      const rest = remainder % small;
      // start + 2·i ≡ 0 (mod small)
      const first = rest === 0 ? 0 : (small - rest) % 2 === 0 ? (small - rest) / 2 : (2 * small - rest) / 2;
      for (let i = first; i < WINDOW; i += small) hasSmallFactor[i] = 1;
    }
  }
  return hasSmallFactor;
}

/**
 * A prime p of exactly `size` bytes whose two highest bits are set, so that a product of two has all its bits. The exponent
 * is a prime: where it does not divide p − 1, it has an inverse.
 */
function prime(size: number, exponent: bigint, random: ByteStream): bigint {
  for (;;) {
    const bytes = random(size);
    bytes[0] = (bytes[0] ?? 0) | 0xc0;
    bytes[size - 1] = (bytes[size - 1] ?? 0) | 1;
    const start = toBigInt(bytes);
    const hasSmallFactor = sieve(start);
    for (let i = 0; i < WINDOW; i++) {
      if (hasSmallFactor[i] === 1) continue;
      const candidate = start + BigInt(2 * i);
      if (candidate >> BigInt(size * 8) !== 0n) break;
      if (candidate % exponent !== 1n && isProbablePrime(candidate, size)) return candidate;
    }
  }
}

export interface RsaKey {
  readonly n: Buffer;
  /** One prime factor: what a TPM keeps (Part 2, 11.2.4.7). */
  readonly p: Buffer;
}

/** @param exponent 0 for 65537 @throws {Refusal} `RANGE` for an exponent that is lower or no prime */
export function rsaKey(keyBits: number, exponent: number, random: ByteStream): RsaKey {
  const e = exponent === 0 ? PUBLIC_EXPONENT : exponent;
  if (e < PUBLIC_EXPONENT || !checkPrimeSync(BigInt(e))) refuse('RANGE');
  const size = keyBits / 16;
  const p = prime(size, BigInt(e), random);
  let q = prime(size, BigInt(e), random);
  // FIPS 186-4, B.3.3: the primes differ within their highest 100 bits
  while ((p > q ? p - q : q - p) >> BigInt(size * 8 - 100) === 0n) q = prime(size, BigInt(e), random);
  return { n: toBytes(p * q, size * 2), p: toBytes(p, size) };
}

/** The private key's numbers from modulus and one prime; undefined where the prime does not divide the modulus. */
export function rsaNumbers(
  n: Uint8Array,
  p: Uint8Array,
  e: bigint,
): Readonly<Record<'d' | 'p' | 'q' | 'dp' | 'dq' | 'qi', Buffer>> | undefined {
  const modulus = toBigInt(n);
  const first = toBigInt(p);
  if (first <= 1n || modulus % first !== 0n) return undefined;
  const second = modulus / first;
  const phi = (first - 1n) * (second - 1n);
  const d = inverse(e, phi);
  const half = n.length / 2;
  return {
    d: toBytes(d, n.length),
    p: toBytes(first, half),
    q: toBytes(second, half),
    dp: toBytes(d % (first - 1n), half),
    dq: toBytes(d % (second - 1n), half),
    qi: toBytes(inverse(second, first), half),
  };
}
