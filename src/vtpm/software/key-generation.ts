/** Keys from a stream of random bytes: the same stream gives the same key, which is what makes primary keys repeat. */
import { checkPrimeSync, createECDH, createHmac } from 'node:crypto';
import { ByteWriter } from '../../bytes/index.ts';
import { curveSize, KDFa, type NistCurve } from '../../tpm/index.ts';

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

const toBigInt = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`);

export function toBytes(value: bigint, size: number): Buffer {
  return Buffer.from(value.toString(16).padStart(size * 2, '0'), 'hex');
}

// --- ECC (FIPS 186-4, B.4.1) ------------------------------------------------------------------------------------------

const GROUPS: Readonly<Record<NistCurve, { readonly openssl: string; readonly order: bigint }>> = {
  p256: {
    openssl: 'prime256v1',
    order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
  p384: {
    openssl: 'secp384r1',
    order: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
  p521: {
    openssl: 'secp521r1',
    order:
      0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  },
};

export interface EccKey {
  readonly d: Buffer;
  readonly x: Buffer;
  readonly y: Buffer;
}

/** 64 bits more than the order has, so that the reduction leaves no bias that matters. */
export function eccKey(curve: NistCurve, random: ByteStream): EccKey {
  const { order } = GROUPS[curve];
  const size = curveSize(curve);
  const d = toBytes((toBigInt(random(size + 8)) % (order - 1n)) + 1n, size);
  return { d, ...eccPoint(curve, d) };
}

/** The public point of a private scalar. @throws where the scalar is not in 1…n−1 */
export function eccPoint(curve: NistCurve, d: Uint8Array): { x: Buffer; y: Buffer } {
  const ecdh = createECDH(GROUPS[curve].openssl);
  ecdh.setPrivateKey(d);
  const point = ecdh.getPublicKey();
  const size = curveSize(curve);
  return { x: point.subarray(1, 1 + size), y: point.subarray(1 + size) };
}

// --- RSA (FIPS 186-4, B.3.3, with an incremental search) --------------------------------------------------------------

const PUBLIC_EXPONENT = 65537n;

const SMALL_PRIMES: readonly number[] = (() => {
  const composite = new Uint8Array(8192);
  const primes: number[] = [];
  for (let n = 3; n < composite.length; n += 2) {
    if (composite[n] === 1) continue;
    primes.push(n);
    for (let multiple = n * n; multiple < composite.length; multiple += 2 * n) composite[multiple] = 1;
  }
  return primes;
})();

/** Odd numbers that are looked at from one random start. */
const WINDOW = 4096;

/** A prime of exactly `size` bytes whose two highest bits are set, so that a product of two has all its bits. */
function prime(size: number, random: ByteStream): bigint {
  for (;;) {
    const bytes = random(size);
    bytes[0] = (bytes[0] ?? 0) | 0xc0;
    bytes[size - 1] = (bytes[size - 1] ?? 0) | 1;
    const start = toBigInt(bytes);
    const hasSmallFactor = new Uint8Array(WINDOW);
    for (const small of SMALL_PRIMES) {
      const rest = Number(start % BigInt(small));
      // start + 2·i ≡ 0 (mod small)
      const first = rest === 0 ? 0 : (small - rest) % 2 === 0 ? (small - rest) / 2 : (2 * small - rest) / 2;
      for (let i = first; i < WINDOW; i += small) hasSmallFactor[i] = 1;
    }
    for (let i = 0; i < WINDOW; i++) {
      if (hasSmallFactor[i] === 1) continue;
      const candidate = start + BigInt(2 * i);
      if (candidate >> BigInt(size * 8) !== 0n) break;
      if (candidate % PUBLIC_EXPONENT !== 1n && checkPrimeSync(candidate)) return candidate;
    }
  }
}

export interface RsaKey {
  readonly n: Buffer;
  /** One prime factor: what a TPM keeps (Part 2, 11.2.4.7). */
  readonly p: Buffer;
}

export function rsaKey(keyBits: number, random: ByteStream): RsaKey {
  const size = keyBits / 16;
  const p = prime(size, random);
  let q = prime(size, random);
  // FIPS 186-4, B.3.3: the primes differ within their highest 100 bits
  while ((p > q ? p - q : q - p) >> BigInt(size * 8 - 100) === 0n) q = prime(size, random);
  return { n: toBytes(p * q, size * 2), p: toBytes(p, size) };
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [r0, r1] = [modulus, value % modulus];
  let [t0, t1] = [0n, 1n];
  while (r1 !== 0n) {
    const quotient = r0 / r1;
    [r0, r1] = [r1, r0 - quotient * r1];
    [t0, t1] = [t1, t0 - quotient * t1];
  }
  return t0 < 0n ? t0 + modulus : t0;
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
