/** How a TPM wraps what leaves it: HMAC around AES-CFB, keys from a seed (Part 1, 22 to 24). */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { ByteReader, bytesEqual, type DigestAlgorithm, digestInfo } from '../../bytes/index.ts';
import {
  encode,
  KDFa,
  TPM2B_DIGEST,
  TPM2B_IV,
  TPM2B_SENSITIVE,
  type TPMT_PUBLIC,
  type TPMT_SENSITIVE,
} from '../../tpm/index.ts';
import { refuse } from './refusal.ts';
import type { LoadedObject } from './state.ts';

const NONE = new Uint8Array(0);
const IV_SIZE = 16;

/** What a storage parent protects its children with. */
export interface Protector {
  readonly nameAlg: DigestAlgorithm;
  readonly seed: Uint8Array;
  readonly keyBits: number;
}

/** The symmetric definition of a storage key; undefined for anything else. */
export function storageKeyBits(area: TPMT_PUBLIC): number | undefined {
  const symmetric =
    area.type === 'rsa' || area.type === 'ecc'
      ? area.parameters.symmetric
      : area.type === 'symcipher'
        ? area.parameters.sym
        : undefined;
  if (symmetric?.algorithm !== 'aes') return undefined;
  // A symmetric parent may leave its mode open: children are protected in CFB all the same (libtpms, Object_spt.c).
  const isOpen = area.type === 'symcipher' && symmetric.mode === 'null';
  return symmetric.mode === 'cfb' || isOpen ? symmetric.keyBits : undefined;
}

/** Restricted decryption keys are parents (Part 1, 23.2). @throws {Refusal} `TYPE` for an object that is none */
export function protectorOf(parent: LoadedObject, field: string): Protector {
  const { publicArea, sensitive } = parent;
  const { restricted, decrypt } = publicArea.objectAttributes;
  const keyBits = storageKeyBits(publicArea);
  const isParent = restricted === true && decrypt === true && sensitive !== undefined && keyBits !== undefined;
  if (!isParent || publicArea.nameAlg === 'null') return refuse('TYPE', field);
  return { nameAlg: publicArea.nameAlg, seed: sensitive.seedValue, keyBits };
}

function symmetricKey({ nameAlg, seed, keyBits }: Protector, name: Uint8Array): Buffer {
  return KDFa(nameAlg, seed, 'STORAGE', name, NONE, keyBits);
}

export function integrity({ nameAlg, seed }: Protector, name: Uint8Array, ...data: readonly Uint8Array[]): Buffer {
  const { size, opensslName } = digestInfo(nameAlg);
  const hmac = createHmac(opensslName, KDFa(nameAlg, seed, 'INTEGRITY', NONE, NONE, size * 8));
  for (const part of data) hmac.update(part);
  return hmac.update(name).digest();
}

export function encryptCfb(protector: Protector, name: Uint8Array, iv: Uint8Array, data: Uint8Array): Buffer {
  return createCipheriv(`aes-${protector.keyBits}-cfb`, symmetricKey(protector, name), iv).update(data);
}

export function decryptCfb(protector: Protector, name: Uint8Array, iv: Uint8Array, data: Uint8Array): Buffer {
  return createDecipheriv(`aes-${protector.keyBits}-cfb`, symmetricKey(protector, name), iv).update(data);
}

/** Part 1, 22.2–22.4: integrity HMAC ‖ IV ‖ encrypted TPM2B_SENSITIVE. */
export function wrapSensitive(
  protector: Protector,
  name: Uint8Array,
  sensitive: TPMT_SENSITIVE,
  random: (size: number) => Uint8Array,
): Buffer {
  const iv = random(IV_SIZE);
  const encrypted = encryptCfb(protector, name, iv, encode(TPM2B_SENSITIVE, sensitive));
  const iv2b = encode(TPM2B_IV, iv);
  const outer = encode(TPM2B_DIGEST, integrity(protector, name, iv2b, encrypted));
  return Buffer.concat([outer, iv2b, encrypted]);
}

/** @throws {Refusal} `INTEGRITY` for a blob that this parent did not make for this Name, `SIZE` for one that is cut */
export function unwrapSensitive(
  protector: Protector,
  name: Uint8Array,
  blob: Uint8Array,
  field: string,
): TPMT_SENSITIVE {
  const { outer, iv, iv2b, encrypted } = splitBlob(blob, field);
  if (!bytesEqual(outer, integrity(protector, name, iv2b, encrypted))) return refuse('INTEGRITY', field);
  const plain = new ByteReader(decryptCfb(protector, name, iv, encrypted));
  return TPM2B_SENSITIVE.read(plain) ?? refuse('SENSITIVE');
}

function splitBlob(blob: Uint8Array, field: string) {
  try {
    const reader = new ByteReader(blob);
    const outer = TPM2B_DIGEST.read(reader);
    const start = reader.offset;
    const iv = TPM2B_IV.read(reader);
    const iv2b = blob.subarray(start, reader.offset);
    if (iv.length !== IV_SIZE) return refuse('SIZE', field);
    return { outer, iv, iv2b, encrypted: reader.rest() };
  } catch {
    return refuse('SIZE', field);
  }
}
