/**
 * What the kernel does not verify though the signature is right. As Linux 6.12 has it; a guest of it bears each out
 * (test/kernel/labels.test.ts), and so do the sources of 6.1.
 */
import type { DigestAlgorithm } from '../bytes/index.ts';
import type { KeyKind } from './key-kind.ts';

export type KernelLimit =
  /** It looks keys up by the subject key identifier, and this certificate has none. */
  | 'key-not-found-by-kernel'
  /** An RSA modulus of a size that it does not take. */
  | 'key-size-not-in-kernel'
  /** SM2, which it has not had since 6.10. */
  | 'key-kind-not-in-kernel'
  /** A hash algorithm that it does not take with a key of this kind. */
  | 'hash-not-in-kernel';

/** `crypto/rsa.c`, rsa_check_key_length: of the modulus in whole bytes. */
const RSA_SIZES: ReadonlySet<number> = new Set([512, 1024, 1536, 2048, 3072, 4096]);

/** `crypto/rsa-pkcs1pad.c`, rsa_asn1_templates. */
const RSA_HASHES: ReadonlySet<DigestAlgorithm> = new Set([
  'md5',
  'sha1',
  'rmd160',
  'sha224',
  'sha256',
  'sha384',
  'sha512',
  'sha3-256',
  'sha3-384',
  'sha3-512',
]);

/** `crypto/asymmetric_keys/public_key.c`, software_key_determine_akcipher. */
const ECDSA_HASHES: ReadonlySet<DigestAlgorithm> = new Set(
  [...RSA_HASHES].filter((algorithm) => algorithm !== 'md5' && algorithm !== 'rmd160'),
);

/** Of a key, however it was found. Undefined where the kernel verifies its signatures. */
export function kernelLimit({ kind, bits }: KeyKind, algorithm: DigestAlgorithm): KernelLimit | undefined {
  if (kind === 'sm2') return 'key-kind-not-in-kernel';
  if (kind === 'rsa' && !RSA_SIZES.has(Math.ceil(bits / 8) * 8)) return 'key-size-not-in-kernel';
  return (kind === 'rsa' ? RSA_HASHES : ECDSA_HASHES).has(algorithm) ? undefined : 'hash-not-in-kernel';
}

/** Of a key that a signature of format 2 or 3 names by its id. */
export function kernelLimitById(
  key: KeyKind & { readonly isFoundById: boolean },
  algorithm: DigestAlgorithm,
): KernelLimit | undefined {
  return key.isFoundById ? kernelLimit(key, algorithm) : 'key-not-found-by-kernel';
}
