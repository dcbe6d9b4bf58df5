/** Duplication: TPM 2.0 Part 3, 13; the two wrappers: Part 1, 23.3. */
import { bytesEqual, type DigestAlgorithm, digest, digestInfo } from '../../../bytes/index.ts';
import {
  encode,
  isAsymmetric,
  objectName,
  ProfiledReader,
  TPM_RH,
  TPM2B_DIGEST,
  type TPMT_SYM_DEF_OBJECT_NULL,
} from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import type { Machine } from '../machine.ts';
import { checkObject } from '../object-loading.ts';
import { PROFILE } from '../profile.ts';
import {
  marshalSensitive,
  outerUnwrap,
  outerWrap,
  protectorOf,
  unmarshalSensitive,
  wrapSensitive,
} from '../protection.ts';
import { isStorageKey, isStorageParent } from '../public-checks.ts';
import { refuse, refusedAs, unmarshal } from '../refusal.ts';
import { recoverSecret, shareWith } from '../secret.ts';
import type { LoadedObject } from '../state.ts';
import { type BlockCipher, cipherOf, cryptCfb } from '../symmetric.ts';

const NONE = new Uint8Array(0);
/** sizeof(_PRIVATE): the most that a TPM2B_PRIVATE holds. */
const MAX_PRIVATE = PROFILE.maxima.get('TPM2B_PRIVATE') ?? 0;

// --- the inner wrapper (23.3.2.3) -------------------------------------------------------------------------------------

interface InnerWrapper {
  readonly cipher: BlockCipher;
  readonly key: Uint8Array;
}

/** A digest over sensitive area and Name, then both encrypted. */
function innerWrap({ cipher, key }: InnerWrapper, nameAlg: DigestAlgorithm, name: Uint8Array, data: Uint8Array) {
  const checked = Buffer.concat([encode(TPM2B_DIGEST, digest(nameAlg, data, name)), data]);
  return cryptCfb('encrypt', cipher, key, checked);
}

function innerUnwrap(
  { cipher, key }: InnerWrapper,
  nameAlg: DigestAlgorithm,
  name: Uint8Array,
  data: Uint8Array,
): Uint8Array {
  const reader = new ProfiledReader(cryptCfb('decrypt', cipher, key, data), PROFILE);
  const expected = unmarshal('duplicate', () => TPM2B_DIGEST.read(reader));
  const plain = reader.rest();
  return bytesEqual(digest(nameAlg, plain, name), expected) ? plain : refuse('INTEGRITY', 'duplicate');
}

/** Of a new duplicate: the key is the caller's, or made here and told. */
function newInnerWrapper(machine: Machine, symmetric: TPMT_SYM_DEF_OBJECT_NULL, keyIn: Uint8Array) {
  const cipher = cipherOf(symmetric);
  if (cipher === undefined) return keyIn.length === 0 ? undefined : refuse('SIZE', 'encryptionKeyIn');
  const size = cipher.keyBits / 8;
  if (keyIn.length !== 0 && keyIn.length !== size) refuse('SIZE', 'encryptionKeyIn');
  return { cipher, key: keyIn.length === 0 ? machine.random(size) : keyIn };
}

// --- the outer wrapper (23.3.2.4) -------------------------------------------------------------------------------------

/** From a seed that is shared with the new parent, whose public area is enough. */
function wrapFor(machine: Machine, newParent: LoadedObject, name: Uint8Array, data: Uint8Array) {
  const { seed, secret } = shareWith(newParent, 'DUPLICATE', machine.random);
  return { duplicate: outerWrap({ ...protectorOf(newParent, 'newParent'), seed }, name, data), outSymSeed: secret };
}

/** Undefined for TPM_RH_NULL, which is no parent. */
function newParentOf(machine: Machine, handle: number, field: string): LoadedObject | undefined {
  if (handle === TPM_RH.NULL) return undefined;
  const parent = machine.object(handle);
  return isStorageKey(parent.publicArea) ? parent : refuse('TYPE', field);
}

export const duplication = {
  /** 13.1: the engine has checked that a policy for this command authorizes it. */
  TPM2_Duplicate(machine, { objectHandle, newParentHandle, encryptionKeyIn, symmetricAlg }) {
    const { publicArea, sensitive, name } = machine.object(objectHandle);
    const { nameAlg, objectAttributes } = publicArea;
    if (objectAttributes.fixedParent) refuse('ATTRIBUTES', 'objectHandle');
    if (nameAlg === 'null' || sensitive === undefined) return refuse('TYPE', 'objectHandle');
    const newParent = newParentOf(machine, newParentHandle, 'newParentHandle');
    if (objectAttributes.encryptedDuplication) {
      if (symmetricAlg.algorithm === 'null') refuse('SYMMETRIC', 'symmetricAlg');
      if (newParent === undefined) refuse('HIERARCHY', 'newParentHandle');
    }
    const wrapper = newInnerWrapper(machine, symmetricAlg, encryptionKeyIn);
    const plain = marshalSensitive(sensitive, nameAlg);
    const inner = wrapper === undefined ? plain : innerWrap(wrapper, nameAlg, name, plain);
    const encryptionKeyOut = wrapper === undefined || encryptionKeyIn.length > 0 ? NONE : wrapper.key;
    if (newParent === undefined) return { encryptionKeyOut, duplicate: inner, outSymSeed: NONE };
    return { encryptionKeyOut, ...wrapFor(machine, newParent, name, inner) };
  },

  /** 13.2: from one parent's outer wrapper into another's; the inner one stays. */
  TPM2_Rewrap(machine, { oldParent, newParent, inDuplicate, name, inSymSeed }) {
    if ((inSymSeed.length === 0) !== (oldParent === TPM_RH.NULL)) refuse('HANDLE', 'oldParent');
    let data = inDuplicate;
    const from = newParentOf(machine, oldParent, 'oldParent');
    if (from !== undefined) {
      const seed = refusedAs('VALUE', 'inSymSeed', () => recoverSecret(from, 'DUPLICATE', inSymSeed, 'inSymSeed'));
      data = outerUnwrap({ ...protectorOf(from, 'oldParent'), seed }, name, inDuplicate, 'inDuplicate', false);
    }
    const to = newParentOf(machine, newParent, 'newParent');
    if (to === undefined) return { outDuplicate: data, outSymSeed: NONE };
    const { nameAlg } = to.publicArea;
    const overhead = nameAlg === 'null' ? 0 : 2 + digestInfo(nameAlg).size;
    if (data.length + overhead > MAX_PRIVATE) refuse('VALUE', 'inDuplicate');
    const { duplicate, outSymSeed } = wrapFor(machine, to, name, data);
    return { outDuplicate: duplicate, outSymSeed };
  },

  /** 13.3: what comes out is loaded with TPM2_Load. */
  TPM2_Import(machine, { parentHandle, encryptionKey, objectPublic, duplicate, inSymSeed, symmetricAlg }) {
    const { fixedTPM, fixedParent, encryptedDuplication } = objectPublic.objectAttributes;
    if (fixedTPM || fixedParent) refuse('ATTRIBUTES', 'objectPublic');
    const parent = machine.object(parentHandle);
    if (!isStorageParent(parent)) refuse('TYPE', 'parentHandle');
    const cipher = cipherOf(symmetricAlg);
    if (encryptionKey.length * 8 !== (cipher?.keyBits ?? 0)) refuse('SIZE', 'encryptionKey');
    if (cipher === undefined && encryptedDuplication) refuse('ATTRIBUTES', 'encryptionKey');
    if (inSymSeed.length > 0 && !isAsymmetric(parent.publicArea)) refuse('TYPE', 'parentHandle');
    const seed = inSymSeed.length === 0 ? undefined : recoverSecret(parent, 'DUPLICATE', inSymSeed, 'inSymSeed');
    if (seed === undefined && encryptedDuplication) refuse('ATTRIBUTES', 'inSymSeed');
    const { nameAlg } = objectPublic;
    if (nameAlg === 'null') return refuse('HASH', 'objectPublic');
    const name = objectName(objectPublic);
    const protector = protectorOf(parent, 'parentHandle');
    const inner =
      seed === undefined ? duplicate : outerUnwrap({ ...protector, seed }, name, duplicate, 'duplicate', false);
    const plain = cipher === undefined ? inner : innerUnwrap({ cipher, key: encryptionKey }, nameAlg, name, inner);
    const sensitive = unmarshalSensitive(plain, 'duplicate');
    // Where the parent stays in this TPM, it shall vouch for nothing that was not looked at
    if (parent.publicArea.objectAttributes.fixedTPM) {
      const fields = { publicField: 'objectPublic', privateField: 'duplicate' } as const;
      checkObject(objectPublic, sensitive, { ...fields, isImported: true });
    }
    return { outPrivate: wrapSensitive({ protector, name }, sensitive, nameAlg, machine.random) };
  },
} satisfies Handlers;
