/**
 * The kernel's options of trusted keys, as they stand after `new 32` and `load HEX` (Documentation/security/keys/
 * trusted-encrypted.rst; security/keys/trusted-keys/trusted_tpm1.c:getoptions), those that act on a TPM 2.0.
 */
import { KeyError } from '../error.ts';

export const TRUSTED_HASHES = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3'] as const;
export type TrustedHash = (typeof TRUSTED_HASHES)[number];

export interface TrustedOptions {
  /** Handle of the storage key under which the key is sealed. */
  readonly keyhandle?: number;
  /** Authorization value of that key: 20 bytes. A secret. */
  readonly keyauth?: Uint8Array;
  /** Authorization value of the sealed key: 20 bytes, or a password of at most 20 characters. A secret. */
  readonly blobauth?: Uint8Array;
  /** A PCR to extend by a random value afterwards, so that nothing later in this boot can unseal. */
  readonly pcrlock?: number;
  /** Whether the key may be moved to another TPM. */
  readonly migratable?: boolean;
  /** The sealed object's name algorithm, and the policy's. */
  readonly hash?: TrustedHash;
  readonly policydigest?: Uint8Array;
  /** Handle of a policy session that satisfies the policy; not kept. */
  readonly policyhandle?: number;
}

const DIGEST_SIZES: Readonly<Record<TrustedHash, number>> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64, sm3: 32 };
/** SHA1_DIGEST_SIZE: what the kernel holds of an authorization value. */
const AUTH_SIZE = 20;
const NAMES = ['keyhandle', 'keyauth', 'blobauth', 'pcrlock', 'migratable', 'hash', 'policydigest', 'policyhandle'];

/**
 * @param words `name=value`, in the kernel's words; a `blobauth` of 40 hex digits is 20 bytes, as the kernel takes it
 * @throws {KeyError} `key.option`, never with a value that may be a secret
 */
export function parseTrustedOptions(words: readonly string[]): TrustedOptions {
  const values = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf('=');
    const name = at < 0 ? word : word.slice(0, at);
    if (name === 'pcrinfo') throw wrong('pcrinfo acts on TPM 1.2 only', 'seal to PCRs with --pcrs or policydigest=');
    if (at < 0 || !NAMES.includes(name)) throw wrong(`'${name.slice(0, 40)}' is no option of trusted keys`);
    if (values.has(name)) throw wrong(`${name} is there twice`);
    // The kernel reads a digest by the hash that stands before it.
    if (name === 'hash' && values.has('policydigest')) throw wrong('hash must stand before policydigest');
    values.set(name, word.slice(at + 1));
  }
  const hash = values.has('hash') ? hashOf(values.get('hash') ?? '') : undefined;
  const digest = values.get('policydigest');
  return dropUndefined({
    keyhandle: optional(values, 'keyhandle', handleOf),
    keyauth: optional(values, 'keyauth', keyAuthOf),
    blobauth: optional(values, 'blobauth', blobAuthOf),
    pcrlock: optional(values, 'pcrlock', pcrOf),
    migratable: optional(values, 'migratable', flagOf),
    hash,
    policydigest: digest === undefined ? undefined : policyDigestOf(digest, hash ?? 'sha256'),
    policyhandle: optional(values, 'policyhandle', handleOf),
  });
}

/** What the kernel holds of `blobauth=`: 40 hex digits are 20 bytes; any other text of at most 20 bytes is itself. */
export function blobAuthOf(text: string): Uint8Array {
  if (/^[0-9a-fA-F]{40}$/.test(text)) return Buffer.from(text, 'hex');
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length >= 1 && bytes.length <= AUTH_SIZE) return bytes;
  throw wrong('blobauth is a password of at most 20 characters, or 40 hex digits');
}

export function keyAuthOf(text: string): Uint8Array {
  if (/^[0-9a-fA-F]{40}$/.test(text)) return Buffer.from(text, 'hex');
  throw wrong('keyauth is 40 hex digits');
}

/** @throws {KeyError} `key.option` */
export function handleOf(text: string): number {
  if (/^(?:0x)?[0-9a-fA-F]{1,8}$/.test(text)) return Number.parseInt(text, 16);
  throw wrong(`'${text.slice(0, 40)}' is no handle`, 'write it in hexadecimal, as 0x81000001');
}

function hashOf(text: string): TrustedHash {
  const found = TRUSTED_HASHES.find((name) => name === (text === 'sm3-256' ? 'sm3' : text));
  if (found !== undefined) return found;
  throw wrong(`'${text.slice(0, 40)}' is no hash of trusted keys`, `take one of ${TRUSTED_HASHES.join(', ')}`);
}

function policyDigestOf(text: string, hash: TrustedHash): Uint8Array {
  if (/^(?:[0-9a-fA-F]{2})+$/.test(text) && text.length === 2 * DIGEST_SIZES[hash]) return Buffer.from(text, 'hex');
  throw wrong(`policydigest is ${2 * DIGEST_SIZES[hash]} hex digits where the hash is ${hash}`);
}

function pcrOf(text: string): number {
  if (/^\d{1,2}$/.test(text) && Number(text) > 0 && Number(text) < 24) return Number(text);
  // The kernel takes 0 for "none" (trusted_tpm_seal) and says nothing.
  throw wrong('pcrlock is a PCR, 1…23: with 0 the kernel locks nothing');
}

function flagOf(text: string): boolean {
  if (text === '0' || text === '1') return text === '1';
  throw wrong('migratable is 0 or 1');
}

function optional<T>(values: ReadonlyMap<string, string>, name: string, parse: (text: string) => T): T | undefined {
  const text = values.get(name);
  return text === undefined ? undefined : parse(text);
}

type Given<T> = { -readonly [K in keyof T]: T[K] | undefined };

function dropUndefined(options: Given<Required<TrustedOptions>>): TrustedOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function wrong(what: string, advice?: string): KeyError {
  return new KeyError('key.option', what, advice === undefined ? {} : { advice });
}
