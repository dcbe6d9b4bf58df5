/** How a TPM wraps what leaves it: an HMAC around CFB, both keys from a seed (Part 1, 22 to 24; Part 4, Object_spt.c). */
import { createHmac } from 'node:crypto';
import { bytesEqual, type DigestAlgorithm, digestInfo } from '../../bytes/index.ts';
import {
  encode,
  KDFa,
  ProfiledReader,
  TPM2B_DIGEST,
  TPM2B_IV,
  TPM2B_SENSITIVE,
  TPMT_SENSITIVE,
  trimAuth,
} from '../../tpm/index.ts';
import { PROFILE } from './profile.ts';
import { refuse, refusedAs, unmarshal } from './refusal.ts';
import type { LoadedObject } from './state.ts';
import { type BlockCipher, blockSize, cipherOf, cryptCfb } from './symmetric.ts';

const NONE = new Uint8Array(0);

/** Hash and cipher of a storage key, and the seed of the keys for both. */
export interface Protector {
  readonly nameAlg: DigestAlgorithm;
  readonly seed: Uint8Array;
  readonly cipher: BlockCipher;
}

/** With its own seed a storage parent protects its children. @throws {Refusal} `TYPE` for an object that is no storage key */
export function protectorOf(key: LoadedObject, field: string): Protector {
  const { publicArea, sensitive } = key;
  if (publicArea.type === 'keyedhash' || publicArea.nameAlg === 'null') return refuse('TYPE', field);
  const symmetric = publicArea.type === 'symcipher' ? publicArea.parameters.sym : publicArea.parameters.symmetric;
  const cipher = cipherOf(symmetric) ?? refuse('TYPE', field);
  return { nameAlg: publicArea.nameAlg, seed: sensitive?.seedValue ?? NONE, cipher };
}

function integrity({ nameAlg, seed }: Protector, name: Uint8Array, data: Uint8Array): Buffer {
  const { size, opensslName } = digestInfo(nameAlg);
  const key = KDFa(nameAlg, seed, 'INTEGRITY', NONE, NONE, size * 8);
  return createHmac(opensslName, key).update(data).update(name).digest();
}

/** The mode that a parent names is for its own use: what it protects is in CFB. */
function crypt(
  direction: 'encrypt' | 'decrypt',
  { nameAlg, seed, cipher }: Protector,
  name: Uint8Array,
  data: Uint8Array,
  iv: Uint8Array | undefined,
): Buffer {
  return cryptCfb(direction, cipher, KDFa(nameAlg, seed, 'STORAGE', name, NONE, cipher.keyBits), data, iv);
}

/** Integrity HMAC ‖ IV ‖ encrypted data. @param iv none where the seed is for this one use (Part 1, 23.3.2.4 and 24.4) */
export function outerWrap(protector: Protector, name: Uint8Array, data: Uint8Array, iv?: Uint8Array): Buffer {
  const encrypted = crypt('encrypt', protector, name, data, iv);
  const whole = iv === undefined ? encrypted : Buffer.concat([encode(TPM2B_IV, iv), encrypted]);
  return Buffer.concat([encode(TPM2B_DIGEST, integrity(protector, name, whole)), whole]);
}

/** @throws {Refusal} `INTEGRITY` for what was not wrapped by this protector for this Name, or as it unmarshals */
export function outerUnwrap(
  protector: Protector,
  name: Uint8Array,
  blob: Uint8Array,
  field: string,
  hasIv: boolean,
): Buffer {
  const reader = new ProfiledReader(blob, PROFILE);
  const expected = unmarshal(field, () => TPM2B_DIGEST.read(reader));
  if (!bytesEqual(expected, integrity(protector, name, blob.subarray(reader.offset)))) refuse('INTEGRITY', field);
  const iv = hasIv ? unmarshal(field, () => TPM2B_IV.read(reader)) : undefined;
  if (iv !== undefined && iv.length !== blockSize(protector.cipher)) refuse('VALUE', field);
  return crypt('decrypt', protector, name, reader.rest(), iv);
}

/** Its authorization value as long as its Name's digest: the size shall tell nothing (Part 4, MarshalSensitive). */
export function marshalSensitive(sensitive: TPMT_SENSITIVE, nameAlg: DigestAlgorithm | 'null'): Uint8Array {
  const size = nameAlg === 'null' ? sensitive.authValue.length : digestInfo(nameAlg).size;
  const authValue = Buffer.concat([sensitive.authValue], size);
  return encode(TPM2B_SENSITIVE, { ...sensitive, authValue });
}

/** An object that was wrapped by its parent: TPM2B_PRIVATE. */
export interface Wrapping {
  readonly protector: Protector;
  readonly name: Uint8Array;
}

/** SensitiveToPrivate. @param nameAlg of the object */
export function wrapSensitive(
  { protector, name }: Wrapping,
  sensitive: TPMT_SENSITIVE,
  nameAlg: DigestAlgorithm | 'null',
  random: (size: number) => Uint8Array,
): Buffer {
  return outerWrap(protector, name, marshalSensitive(sensitive, nameAlg), random(blockSize(protector.cipher)));
}

/** TPM2B_SENSITIVE with nothing behind it. @throws {Refusal} `SIZE`, or as it unmarshals */
export function unmarshalSensitive(bytes: Uint8Array, field: string): TPMT_SENSITIVE {
  const reader = new ProfiledReader(bytes, PROFILE);
  const size = unmarshal(field, () => reader.u16be('size'));
  if (size !== reader.remaining) refuse('SIZE', field);
  const sensitive = unmarshal(field, () => TPMT_SENSITIVE.read(reader));
  if (reader.remaining > 0) refuse('SIZE', field);
  return { ...sensitive, authValue: trimAuth(sensitive.authValue) };
}

/**
 * PrivateToSensitive.
 * @throws {Refusal} `INTEGRITY` for a blob that this parent did not make for this Name, `SENSITIVE` for one that holds no
 *   sensitive area
 */
export function unwrapSensitive({ protector, name }: Wrapping, blob: Uint8Array, field: string): TPMT_SENSITIVE {
  const plain = outerUnwrap(protector, name, blob, field, true);
  return refusedAs('SENSITIVE', field, () => unmarshalSensitive(plain, field));
}
