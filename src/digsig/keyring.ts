/** The keys that verify, and those that no longer may (kernel: `security/integrity/digsig_asymmetric.c`). */
import { type DigestAlgorithm, digest, toHex } from '../bytes/index.ts';
import type { DeferredSignatures } from './deferred.ts';
import { DigsigError } from './error.ts';
import { fileIdDigest } from './file-id.ts';
import { encodeV1Header, type SignatureHeader, type SignatureV1 } from './header.ts';
import { formatKeyId, type KeyId } from './key-id.ts';
import type { IntegrityKey } from './public-keys.ts';
import { verifyDigest, verifyRaw } from './verify.ts';

/** Looks keys up by id as the kernel does: by the id alone, the blacklist first. */
export class Keyring implements Iterable<IntegrityKey> {
  readonly #keys = new Map<KeyId, IntegrityKey>();
  readonly #keysV1 = new Map<string, IntegrityKey>();
  readonly #blacklist = new Set<KeyId>();
  readonly #blacklistV1 = new Set<string>();

  constructor(keys: Iterable<IntegrityKey> = []) {
    for (const key of keys) this.add(key);
  }

  get size(): number {
    return this.#keys.size;
  }

  [Symbol.iterator](): Iterator<IntegrityKey> {
    return this.#keys.values();
  }

  /**
   * The same key again is no error: the first stays, or the one that the kernel finds by its id.
   * @throws {DigsigError} `digsig.duplicate-key-id` for another key of the same id: which of them the kernel would find
   *   is not defined
   */
  add(key: IntegrityKey): void {
    const there = this.#keys.get(key.keyId);
    if (there !== undefined && !there.fingerprint.equals(key.fingerprint)) {
      throw new DigsigError(
        'digsig.duplicate-key-id',
        `${key.source} and ${there.source} are different keys with the id ${formatKeyId(key.keyId)}`,
        { advice: 'leave one of them out' },
      );
    }
    if (there === undefined || !there.isFoundById) this.#keys.set(key.keyId, key);
    if (key.keyIdV1 !== undefined) this.#keysV1.set(toHex(key.keyIdV1), key);
  }

  /** A key of that id no longer verifies, whether it was added before, is added later, or both. */
  blacklist(key: Pick<IntegrityKey, 'keyId' | 'keyIdV1'>): void {
    this.#blacklist.add(key.keyId);
    if (key.keyIdV1 !== undefined) this.#blacklistV1.add(toHex(key.keyIdV1));
  }

  /** @param id 8 bytes for a signature of format 1 */
  find(id: KeyId | Uint8Array): IntegrityKey | 'blacklisted' | undefined {
    if (typeof id === 'number') return this.#blacklist.has(id) ? 'blacklisted' : this.#keys.get(id);
    const name = toHex(id);
    return this.#blacklistV1.has(name) ? 'blacklisted' : this.#keysV1.get(name);
  }
}

/** Why a signature does not stand. The kernel says `invalid-signature` for each of them. */
export type SignatureFault =
  /** It is not this key's over this digest. */
  | 'invalid-signature'
  /** No key of that id is in the keyring. */
  | 'unknown-key'
  | 'blacklisted-key'
  /** A hash algorithm that cannot be computed here, or one that differs from the digest's. */
  | 'unsupported-algorithm';

export type SignatureVerdict =
  | { readonly valid: true; readonly key: IntegrityKey }
  | { readonly valid: false; readonly fault: SignatureFault; readonly key?: IntegrityKey };

export interface DigestToVerify {
  readonly algorithm: DigestAlgorithm;
  readonly digest: Uint8Array;
  /** First byte of the attribute, which format 3 signs: 3 or 6. */
  readonly type: number;
}

/**
 * Judges a signature over a digest by the keys of a keyring. Formats 1, 2 and 3.
 * @param deferred where given, the answer may be `valid` for now, and the signature is among these: its number was their
 *   count before
 * @throws {DigsigError} `digsig.cannot-sign` for a digest that is not of its algorithm's size
 */
export function verifySignature(
  keyring: Keyring,
  header: SignatureHeader,
  { algorithm, digest: fileDigest, type }: DigestToVerify,
  deferred?: DeferredSignatures,
): SignatureVerdict {
  if (header.algorithm !== algorithm) return { valid: false, fault: 'unsupported-algorithm' };
  const key = keyring.find(header.keyId);
  if (key === 'blacklisted') return { valid: false, fault: 'blacklisted-key' };
  if (key === undefined) return { valid: false, fault: 'unknown-key' };
  return isSignedBy(key, header, { algorithm, digest: fileDigest, type }, deferred)
    ? { valid: true, key }
    : { valid: false, fault: 'invalid-signature', key };
}

function isSignedBy(
  key: IntegrityKey,
  header: SignatureHeader,
  { algorithm, digest: fileDigest, type }: DigestToVerify,
  deferred: DeferredSignatures | undefined,
): boolean {
  if (header.version === 1) return verifyV1(key, header, fileDigest);
  const signed = header.version === 2 ? fileDigest : fileIdDigest(type, algorithm, fileDigest);
  return deferred?.defer(key, signed, header.signature) || verifyDigest(key, algorithm, signed, header.signature);
}

/** Kernel: `lib/digsig.c`, digsig_verify. */
function verifyV1(key: IntegrityKey, header: SignatureV1, fileDigest: Uint8Array): boolean {
  return verifyRaw(key, digest('sha1', fileDigest, encodeV1Header(header)), header.signature);
}
