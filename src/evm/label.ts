/** From an inode's metadata to the value of its `security.evm`. */
import { createHmac } from 'node:crypto';
import { type DigestAlgorithm, digest } from '../bytes/index.ts';
import { type Signer, signDigest } from '../digsig/index.ts';
import { EvmError } from './error.ts';
import { type EvmConfiguration, type EvmInputOptions, type EvmMetadata, evmInput } from './input.ts';
import { encodeEvmHmac, encodeEvmSignature } from './xattr.ts';

/** `evm_crypto.c`, MAX_KEY_SIZE. */
export const EVM_KEY_SIZE = 128;

/**
 * The key as the kernel uses it: always 128 bytes, the payload of `evm-key` and zeros behind it. That is longer than a
 * block of SHA-1, so that HMAC hashes it first, and the bare payload gives another HMAC, which the kernel denies.
 * @throws {EvmError} `evm.key`
 */
export function padEvmKey(payload: Uint8Array): Buffer {
  if (payload.length === 0 || payload.length > EVM_KEY_SIZE) {
    throw new EvmError('evm.key', `an EVM key of ${payload.length} bytes; it has 1 to ${EVM_KEY_SIZE}`);
  }
  const key = Buffer.alloc(EVM_KEY_SIZE);
  key.set(payload);
  return key;
}

/**
 * HMAC-SHA1 over the metadata, 20 bytes.
 * @param key payload of the kernel's `evm-key`, padded or not
 * @throws {EvmError}
 */
export function evmHmac(key: Uint8Array, metadata: EvmMetadata, configuration: EvmConfiguration = {}): Buffer {
  return createHmac('sha1', padEvmKey(key))
    .update(evmInput(metadata, { ...configuration, portable: false }))
    .digest();
}

/** The digest that a signature in `security.evm` is over. @throws {EvmError} */
export function evmDigest(algorithm: DigestAlgorithm, metadata: EvmMetadata, options: EvmInputOptions = {}): Buffer {
  return digest(algorithm, evmInput(metadata, options));
}

/** A whole value of `security.evm`: 02 and the HMAC. @throws {EvmError} */
export function hmacLabel(key: Uint8Array, metadata: EvmMetadata, configuration: EvmConfiguration = {}): Buffer {
  return encodeEvmHmac(evmHmac(key, metadata, configuration));
}

/** A whole value of `security.evm`: 03, or 05 where it is portable, and the signature. @throws {EvmError | DigsigError} */
export function signatureLabel(
  signer: Signer,
  algorithm: DigestAlgorithm,
  metadata: EvmMetadata,
  options: EvmInputOptions = {},
): Buffer {
  const signature = signDigest(signer, algorithm, evmDigest(algorithm, metadata, options));
  return encodeEvmSignature(signature, { portable: options.portable === true });
}
