/** Duplication: TPM 2.0 Part 3, 13; the two wrappers: Part 1, 23.3. */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { ByteReader, bytesEqual, type DigestAlgorithm, digest } from '../../../bytes/index.ts';
import {
  encode,
  isAsymmetric,
  objectName,
  type RequestOf,
  shareSecret,
  TPM_RH,
  type TPM2_Import,
  TPM2B_DIGEST,
  TPM2B_SENSITIVE,
  type TPMT_SENSITIVE,
  trimAuth,
} from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import { AES_KEY_BITS } from '../limits.ts';
import { checkPair, checkPublic } from '../object-creation.ts';
import {
  decryptCfb,
  encryptCfb,
  integrity,
  type Protector,
  protectorOf,
  storageKeyBits,
  wrapSensitive,
} from '../protection.ts';
import { refuse } from '../refusal.ts';
import { recoverSecret } from '../secret.ts';
import type { LoadedObject } from '../state.ts';

const NONE = new Uint8Array(0);
/** Each key protects one duplicate only, so both wrappers start from zeros. */
const NO_IV = new Uint8Array(16);

type Symmetric = RequestOf<typeof TPM2_Import>['symmetricAlg'];

/** Key bits of the inner wrapper; undefined where there is none. */
function innerKeyBits(symmetric: Symmetric): number | undefined {
  if (symmetric.algorithm === 'null') return undefined;
  if (symmetric.algorithm !== 'aes' || symmetric.mode !== 'cfb') return refuse('SYMMETRIC', 'symmetricAlg');
  return AES_KEY_BITS.includes(symmetric.keyBits) ? symmetric.keyBits : refuse('VALUE', 'symmetricAlg');
}

/** 23.3.2.3: a digest over sensitive area and Name, then both encrypted. */
function innerWrap(nameAlg: DigestAlgorithm, key: Uint8Array, name: Uint8Array, data: Uint8Array): Uint8Array {
  const checked = Buffer.concat([encode(TPM2B_DIGEST, digest(nameAlg, data, name)), data]);
  return createCipheriv(`aes-${key.length * 8}-cfb`, key, NO_IV).update(checked);
}

function innerUnwrap(nameAlg: DigestAlgorithm, key: Uint8Array, name: Uint8Array, data: Uint8Array): Uint8Array {
  const reader = new ByteReader(createDecipheriv(`aes-${key.length * 8}-cfb`, key, NO_IV).update(data));
  const { expected, plain } = splitDigest(reader);
  return bytesEqual(digest(nameAlg, plain, name), expected) ? plain : refuse('INTEGRITY', 'duplicate');
}

/** 23.3.2.4: as a parent protects its children, from the seed that was shared with the new parent, and without an IV. */
function outerWrap(protector: Protector, name: Uint8Array, data: Uint8Array): Uint8Array {
  const encrypted = encryptCfb(protector, name, NO_IV, data);
  return Buffer.concat([encode(TPM2B_DIGEST, integrity(protector, name, encrypted)), encrypted]);
}

function outerUnwrap(protector: Protector, name: Uint8Array, data: Uint8Array): Uint8Array {
  const { expected, plain: encrypted } = splitDigest(new ByteReader(data));
  if (!bytesEqual(integrity(protector, name, encrypted), expected)) return refuse('INTEGRITY', 'duplicate');
  return decryptCfb(protector, name, NO_IV, encrypted);
}

/** What a wrong key decrypted has any size in front. */
function splitDigest(reader: ByteReader): { expected: Uint8Array; plain: Uint8Array } {
  try {
    return { expected: TPM2B_DIGEST.read(reader), plain: reader.rest() };
  } catch {
    return refuse('INTEGRITY', 'duplicate');
  }
}

function readSensitive(bytes: Uint8Array): TPMT_SENSITIVE {
  const reader = new ByteReader(bytes);
  const sensitive = TPM2B_SENSITIVE.read(reader);
  if (sensitive === undefined || reader.rest().length > 0) return refuse('SIZE', 'duplicate');
  return { ...sensitive, authValue: trimAuth(sensitive.authValue) };
}

/** The new parent's public area is enough. */
function sharedWith(newParent: LoadedObject): { protector: Protector; secret: Uint8Array } {
  const { publicArea: area } = newParent;
  const keyBits = storageKeyBits(area);
  const { restricted, decrypt } = area.objectAttributes;
  if (!restricted || !decrypt || keyBits === undefined || !isAsymmetric(area) || area.nameAlg === 'null') {
    return refuse('TYPE', 'newParentHandle');
  }
  const { seed, secret } = shareSecret(area, area.nameAlg, 'DUPLICATE');
  return { protector: { nameAlg: area.nameAlg, seed, keyBits }, secret };
}

export const duplication = {
  /** 13.1: the engine has checked that a policy for this command authorizes it. */
  TPM2_Duplicate(machine, { objectHandle, newParentHandle, encryptionKeyIn, symmetricAlg }) {
    const { publicArea, sensitive, name } = machine.object(objectHandle);
    const { nameAlg, objectAttributes } = publicArea;
    if (objectAttributes.fixedParent) refuse('ATTRIBUTES', 'objectHandle');
    if (nameAlg === 'null' || sensitive === undefined) return refuse('TYPE', 'objectHandle');
    const toNobody = newParentHandle === TPM_RH.NULL;
    const keyBits = innerKeyBits(symmetricAlg);
    if (objectAttributes.encryptedDuplication) {
      if (keyBits === undefined) refuse('SYMMETRIC', 'symmetricAlg');
      if (toNobody) refuse('HIERARCHY', 'newParentHandle');
    }
    if (encryptionKeyIn.length !== 0 && encryptionKeyIn.length * 8 !== keyBits) refuse('SIZE', 'encryptionKeyIn');
    const shared = toNobody ? undefined : sharedWith(machine.object(newParentHandle));
    const isOwnKey = keyBits !== undefined && encryptionKeyIn.length === 0;
    const key = isOwnKey ? machine.random(keyBits / 8) : encryptionKeyIn;
    const plain = encode(TPM2B_SENSITIVE, sensitive);
    const inner = keyBits === undefined ? plain : innerWrap(nameAlg, key, name, plain);
    return {
      encryptionKeyOut: isOwnKey ? key : NONE,
      duplicate: shared === undefined ? inner : outerWrap(shared.protector, name, inner),
      outSymSeed: shared?.secret ?? NONE,
    };
  },

  /** 13.3: what comes out is loaded with TPM2_Load. */
  TPM2_Import(machine, { parentHandle, encryptionKey, objectPublic, duplicate, inSymSeed, symmetricAlg }) {
    const { fixedTPM, fixedParent, encryptedDuplication } = objectPublic.objectAttributes;
    if (fixedTPM || fixedParent) refuse('ATTRIBUTES', 'objectPublic');
    const parent = machine.object(parentHandle);
    const protector = protectorOf(parent, 'parentHandle');
    const keyBits = innerKeyBits(symmetricAlg);
    if (encryptionKey.length * 8 !== (keyBits ?? 0)) refuse('SIZE', 'encryptionKey');
    const isWrappedTwice = keyBits !== undefined && inSymSeed.length > 0;
    if (encryptedDuplication && !isWrappedTwice) refuse('ATTRIBUTES', 'encryptionKey');
    const { nameAlg } = objectPublic;
    if (nameAlg === 'null') return refuse('HASH', 'objectPublic');
    checkPublic(objectPublic, parent.publicArea, 'load', 'objectPublic');
    const name = objectName(objectPublic);
    let data: Uint8Array = duplicate;
    if (inSymSeed.length > 0) {
      if (!isAsymmetric(parent.publicArea)) refuse('TYPE', 'parentHandle');
      const seed = recoverSecret(parent, 'DUPLICATE', inSymSeed, 'inSymSeed');
      data = outerUnwrap({ ...protector, seed }, name, data);
    }
    if (keyBits !== undefined) data = innerUnwrap(nameAlg, encryptionKey, name, data);
    const sensitive = readSensitive(data);
    checkPair(objectPublic, sensitive, 'duplicate');
    return { outPrivate: wrapSensitive(protector, name, sensitive, machine.random) };
  },
} satisfies Handlers;
