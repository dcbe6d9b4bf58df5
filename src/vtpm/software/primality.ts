/**
 * Whether a number drawn at random is a prime: Miller and Rabin's test (FIPS 186-4, C.3.1) by OpenSSL's modular power. Its own
 * test (checkPrime) takes 64 rounds at least, as numbers need that somebody chose; an RSA key would wait for little else.
 */
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import { toBigInt, toBytes } from './ecc.ts';

/** For an error below 2^-100 where the number was drawn at random (FIPS 186-4, C.3, tables C.2 and C.3): 1,024 bits, 512 bits. */
const roundsFor = (size: number): number => (size >= 128 ? 5 : 7);

const base64url = (number: bigint, size: number): string => toBytes(number, size).toString('base64url');

/** Raises to `exponent` modulo `modulus`: what RSA does with a public key, whatever the numbers are. */
function raiser(exponent: bigint, modulus: bigint, size: number): (base: bigint) => bigint {
  const jwk = { kty: 'RSA', n: base64url(modulus, size), e: base64url(exponent, size) };
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  return (base) => toBigInt(publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, toBytes(base, size)));
}

/**
 * @param candidate odd, of exactly `size` bytes, 64 at least, and not chosen by somebody who wants it to pass
 * @returns whether it is a prime, wrongly so for one of 2^100 that are none
 */
export function isProbablePrime(candidate: bigint, size: number): boolean {
  const last = candidate - 1n;
  let odd = last;
  let halvings = 0;
  for (; (odd & 1n) === 0n; odd >>= 1n) halvings++;
  const raise = raiser(odd, candidate, size);
  const passes = (base: bigint): boolean => {
    let power = raise(base);
    if (power === 1n || power === last) return true;
    for (let i = 1; i < halvings; i++) {
      power = (power * power) % candidate;
      if (power === last) return true;
    }
    return false;
  };
  // Bases may be any: that of another run does not change what the same stream of bytes gives
  const randomBase = (): bigint => (toBigInt(randomBytes(size)) % (candidate - 3n)) + 2n;
  if (!passes(2n)) return false;
  for (let round = 1; round < roundsFor(size); round++) if (!passes(randomBase())) return false;
  return true;
}
