/** Checks one signature by one key. */
import { bytesEqual, type DigestAlgorithm } from '../bytes/index.ts';
import { type EcdsaVerifierOfMany, ecdsaVerifierOfMany, type RsaRecoverer, rsaRecoverer } from '../sys/index.ts';
import { encodeDigestInfo } from './digest-info.ts';
import type { IntegrityKey } from './public-keys.ts';

const verifiers = new WeakMap<IntegrityKey, EcdsaVerifierOfMany>();
const recoverers = new WeakMap<IntegrityKey, RsaRecoverer>();

/** Of a key on a curve; one for the thread. */
export function verifierOf(key: IntegrityKey): EcdsaVerifierOfMany {
  let verifier = verifiers.get(key);
  if (verifier === undefined) {
    verifier = ecdsaVerifierOfMany(key.publicKey);
    verifiers.set(key, verifier);
  }
  return verifier;
}

/**
 * True where `signature` is the bare signature of `key` over the digest; any bytes give an answer.
 * @throws {DigsigError} `digsig.cannot-sign` for a digest that is not of the algorithm's size
 * @throws {SysError} `sys.unavailable` for SM2 and P-192 where OpenSSL cannot be reached
 */
export function verifyDigest(
  key: IntegrityKey,
  algorithm: DigestAlgorithm,
  digest: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (key.kind === 'rsa') return verifyRaw(key, encodeDigestInfo(algorithm, digest), signature);
  return verifierOf(key).verify(digest, signature);
}

/**
 * PKCS#1 type 1 over `expected` and nothing else. The whole of what was signed is compared, so there is no DigestInfo
 * to parse leniently; a signature shorter than the modulus is refused as the kernel does (`crypto/rsassa-pkcs1.c`).
 */
export function verifyRaw(key: IntegrityKey, expected: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== Math.ceil(key.bits / 8)) return false;
  let recoverer = recoverers.get(key);
  if (recoverer === undefined) {
    recoverer = rsaRecoverer(key.publicKey);
    recoverers.set(key, recoverer);
  }
  const signed = recoverer.recover(signature);
  return signed !== undefined && bytesEqual(signed, expected);
}
