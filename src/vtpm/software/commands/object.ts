/** Objects: TPM 2.0 Part 3, 12. */
import { bytesEqual, digestInfo } from '../../../bytes/index.ts';
import {
  type Codec,
  encode,
  objectName,
  ProfiledReader,
  type RequestOf,
  TPM_RH,
  type TPM2_CreateLoaded,
  TPM2B_DIGEST,
  type TPMT_PUBLIC,
  TPMT_TEMPLATE,
  TPMT_TEMPLATE_DERIVED,
  trimAuth,
} from '../../../tpm/index.ts';
import { derivationStream } from '../derivation.ts';
import type { Handlers } from '../handler.ts';
import { derivedStream } from '../key-generation.ts';
import type { Machine } from '../machine.ts';
import {
  createObject,
  creationFacts,
  keptAuth,
  loadedObject,
  qualifiedNameUnder,
  type Randomness,
} from '../object-creation.ts';
import { checkObject } from '../object-loading.ts';
import { createPrimaryObject } from '../primary.ts';
import { PROFILE } from '../profile.ts';
import { outerUnwrap, outerWrap, type Protector, protectorOf, unwrapSensitive, wrapSensitive } from '../protection.ts';
import { checkCreation, checkPublic, isDerivationParent, isStorageKey, isStorageParent } from '../public-checks.ts';
import { refuse, unmarshal } from '../refusal.ts';
import { recoverSecret, shareWith } from '../secret.ts';
import { addTransient, requireSlot } from '../slots.ts';
import type { LoadedObject } from '../state.ts';

const NONE = new Uint8Array(0);

/** Bytes for a key that need not come again. */
function freshRandomness(machine: Machine): Randomness {
  const stream = derivedStream(machine.random(64), 'CREATE', NONE, NONE);
  return { key: stream, seed: stream };
}

function storageParent(machine: Machine, handle: number): LoadedObject {
  const parent = machine.object(handle);
  return isStorageParent(parent) ? parent : refuse('TYPE', 'parentHandle');
}

/** A whole template. @throws {Refusal} about `inPublic` */
function readTemplate<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const reader = new ProfiledReader(bytes, PROFILE);
  const template = unmarshal('inPublic', () => codec.read(reader));
  return reader.remaining === 0 ? template : refuse('SIZE', 'inPublic');
}

/** What a credential is for: a storage key's own protection, under a seed that was shared with it (Part 1, 24). */
function credentialProtector(key: LoadedObject, field: string): Protector {
  return isStorageKey(key.publicArea) ? protectorOf(key, field) : refuse('TYPE', field);
}

// --- TPM2_CreateLoaded ------------------------------------------------------------------------------------------------

type LoadedRequest = RequestOf<typeof TPM2_CreateLoaded>;

function createLoadedPrimary(machine: Machine, { parentHandle, inSensitive, inPublic }: LoadedRequest) {
  const template = readTemplate(TPMT_TEMPLATE, inPublic);
  const userAuth = keptAuth(inSensitive.userAuth, template.nameAlg, 'inSensitive');
  checkCreation(undefined, template, inSensitive.data.length, 'inPublic');
  return { object: createPrimaryObject(machine, parentHandle, template, userAuth, inSensitive.data), outPrivate: NONE };
}

function createLoadedChild(machine: Machine, parent: LoadedObject, { inSensitive, inPublic }: LoadedRequest) {
  const template = readTemplate(TPMT_TEMPLATE, inPublic);
  const userAuth = keptAuth(inSensitive.userAuth, template.nameAlg, 'inSensitive');
  checkCreation(parent, template, inSensitive.data.length, 'inPublic');
  const { publicArea, sensitive } = createObject(template, userAuth, inSensitive.data, freshRandomness(machine));
  const object = loadedObject(publicArea, sensitive, { parent, hierarchy: parent.hierarchy });
  const wrapping = { protector: protectorOf(parent, 'parentHandle'), name: object.name };
  return { object, outPrivate: wrapSensitive(wrapping, sensitive, template.nameAlg, machine.random) };
}

/** Nothing leaves the TPM: the parent derives the key again from label and context. */
function createLoadedDerived(parent: LoadedObject, { inSensitive, inPublic }: LoadedRequest) {
  const template = readTemplate(TPMT_TEMPLATE_DERIVED, inPublic);
  const userAuth = keptAuth(inSensitive.userAuth, template.nameAlg, 'inSensitive');
  if (template.type === 'rsa') return refuse('TYPE', 'inPublic');
  if (template.objectAttributes.sensitiveDataOrigin) refuse('ATTRIBUTES');
  const area: TPMT_PUBLIC =
    template.type === 'ecc' ? { ...template, unique: { x: NONE, y: NONE } } : { ...template, unique: NONE };
  checkPublic(parent, area, 'inPublic');
  const stream = derivationStream(parent, template.unique, inSensitive.data);
  const { publicArea, sensitive } = createObject(area, userAuth, NONE, { key: stream, seed: stream });
  return { object: loadedObject(publicArea, sensitive, { parent, hierarchy: parent.hierarchy }), outPrivate: NONE };
}

const HIERARCHIES: readonly number[] = [TPM_RH.OWNER, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM, TPM_RH.NULL];

export const object = {
  /** 12.1 */
  TPM2_Create(machine, { parentHandle, inSensitive, inPublic, outsideInfo, creationPCR }, { locality }) {
    const parent = storageParent(machine, parentHandle);
    requireSlot(machine);
    checkCreation(parent, inPublic, inSensitive.data.length, 'inPublic');
    const userAuth = keptAuth(inSensitive.userAuth, inPublic.nameAlg, 'inSensitive');
    const { publicArea, sensitive } = createObject(inPublic, userAuth, inSensitive.data, freshRandomness(machine));
    const created = loadedObject(publicArea, sensitive, { parent, hierarchy: parent.hierarchy });
    const wrapping = { protector: protectorOf(parent, 'parentHandle'), name: created.name };
    return {
      outPrivate: wrapSensitive(wrapping, sensitive, inPublic.nameAlg, machine.random),
      outPublic: publicArea,
      ...creationFacts(machine, created, parent, { outsideInfo, creationPCR, locality }),
    };
  },

  /** 12.2 */
  TPM2_Load(machine, { parentHandle, inPrivate, inPublic }) {
    requireSlot(machine);
    if (inPrivate.length === 0) refuse('SIZE', 'inPrivate');
    const parent = storageParent(machine, parentHandle);
    if (inPublic.nameAlg === 'null') return refuse('HASH', 'inPublic');
    const wrapping = { protector: protectorOf(parent, 'parentHandle'), name: objectName(inPublic) };
    const sensitive = unwrapSensitive(wrapping, inPrivate, 'inPrivate');
    const isVouched = parent.publicArea.objectAttributes.fixedTPM === true;
    checkObject(inPublic, sensitive, { parent, isVouched, publicField: 'inPublic', privateField: 'inPrivate' });
    const loaded = loadedObject(inPublic, sensitive, { parent, hierarchy: parent.hierarchy });
    return { objectHandle: addTransient(machine, loaded), name: loaded.name };
  },

  /** 12.3 */
  TPM2_LoadExternal(machine, { inPrivate, inPublic, hierarchy }) {
    requireSlot(machine);
    if (!machine.isHierarchyEnabled(hierarchy)) refuse('HIERARCHY', 'hierarchy');
    const sensitive = inPrivate === undefined ? undefined : { ...inPrivate, authValue: trimAuth(inPrivate.authValue) };
    if (sensitive !== undefined) {
      if (hierarchy !== TPM_RH.NULL) refuse('HIERARCHY', 'hierarchy');
      const { fixedTPM, fixedParent, restricted } = inPublic.objectAttributes;
      if (fixedTPM || fixedParent || restricted) refuse('ATTRIBUTES', 'inPublic');
    }
    checkObject(inPublic, sensitive, { publicField: 'inPublic', privateField: 'inPrivate' });
    const loaded = loadedObject(inPublic, sensitive, { parent: undefined, hierarchy, isExternal: true });
    return { objectHandle: addTransient(machine, loaded), name: loaded.name };
  },

  /** 12.4 */
  TPM2_ReadPublic(machine, { objectHandle }) {
    if (machine.isSequence(objectHandle)) refuse('SEQUENCE');
    const { publicArea, name, qualifiedName } = machine.object(objectHandle);
    return { outPublic: publicArea, name, qualifiedName };
  },

  /** 12.5 */
  TPM2_ActivateCredential(machine, { activateHandle, keyHandle, credentialBlob, secret }) {
    const key = machine.object(keyHandle);
    const { name } = machine.object(activateHandle);
    const protector = credentialProtector(key, 'keyHandle');
    const seed = recoverSecret(key, 'IDENTITY', secret, 'secret');
    const plain = outerUnwrap({ ...protector, seed }, name, credentialBlob, 'credentialBlob', false);
    const reader = new ProfiledReader(plain, PROFILE);
    const certInfo = unmarshal('credentialBlob', () => TPM2B_DIGEST.read(reader));
    return reader.remaining === 0 ? { certInfo } : refuse('SIZE', 'credentialBlob');
  },

  /** 12.6: the key's public area is enough. */
  TPM2_MakeCredential(machine, { handle, credential, objectName: name }) {
    const key = machine.object(handle);
    const protector = credentialProtector(key, 'handle');
    if (credential.length > digestInfo(protector.nameAlg).size) refuse('SIZE', 'credential');
    const { seed, secret } = shareWith(key, 'IDENTITY', machine.random);
    return { credentialBlob: outerWrap({ ...protector, seed }, name, encode(TPM2B_DIGEST, credential)), secret };
  },

  /** 12.7 */
  TPM2_Unseal(machine, { itemHandle }) {
    const { publicArea, sensitive } = machine.object(itemHandle);
    const { decrypt, sign, restricted } = publicArea.objectAttributes;
    if (publicArea.type !== 'keyedhash' || sensitive?.sensitiveType !== 'keyedhash')
      return refuse('TYPE', 'itemHandle');
    if (decrypt || sign || restricted) refuse('ATTRIBUTES', 'itemHandle');
    return { outData: sensitive.sensitive };
  },

  /** 12.8: the object that is loaded keeps its old value. */
  TPM2_ObjectChangeAuth(machine, { objectHandle, parentHandle, newAuth }) {
    if (machine.isSequence(objectHandle)) refuse('TYPE', 'objectHandle');
    const { publicArea, sensitive, name, qualifiedName } = machine.object(objectHandle);
    const { nameAlg } = publicArea;
    const authValue = keptAuth(newAuth, nameAlg, 'newAuth');
    const parent = machine.object(parentHandle);
    const expected = qualifiedNameUnder(publicArea, name, parent.qualifiedName);
    if (!bytesEqual(expected, qualifiedName) || !isStorageParent(parent)) refuse('TYPE', 'parentHandle');
    if (sensitive === undefined) return refuse('TYPE', 'objectHandle');
    const wrapping = { protector: protectorOf(parent, 'parentHandle'), name };
    return { outPrivate: wrapSensitive(wrapping, { ...sensitive, authValue }, nameAlg, machine.random) };
  },

  /** 12.9: a primary key, an ordinary child, or a key that is derived. */
  TPM2_CreateLoaded(machine, request) {
    const { parentHandle } = request;
    const isPrimary = HIERARCHIES.includes(parentHandle);
    const parent = isPrimary ? undefined : machine.object(parentHandle);
    const isDerived = parent !== undefined && isDerivationParent(parent);
    if (parent !== undefined && !isDerived && !isStorageParent(parent)) refuse('TYPE', 'parentHandle');
    requireSlot(machine);
    const { object: created, outPrivate } =
      parent === undefined
        ? createLoadedPrimary(machine, request)
        : isDerived
          ? createLoadedDerived(parent, request)
          : createLoadedChild(machine, parent, request);
    return {
      objectHandle: addTransient(machine, created),
      outPrivate,
      outPublic: created.publicArea,
      name: created.name,
    };
  },
} satisfies Handlers;
