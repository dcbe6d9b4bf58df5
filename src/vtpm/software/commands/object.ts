/** Objects: TPM 2.0 Part 3, 12. */
import { ByteReader, bytesEqual, digestInfo } from '../../../bytes/index.ts';
import {
  decode,
  makeCredential,
  objectName,
  TPM_RH,
  TPM2B_DIGEST,
  TPMS_ID_OBJECT,
  TPMT_PUBLIC,
  trimAuth,
} from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import { derivedStream } from '../key-generation.ts';
import type { Machine } from '../machine.ts';
import {
  addTransient,
  checkAlgorithms,
  checkPair,
  checkPublic,
  checkSensitiveOrigin,
  createObject,
  creationFacts,
  loadedObject,
  requireSlot,
} from '../object-creation.ts';
import { createPrimaryObject } from '../primary.ts';
import { decryptCfb, integrity, protectorOf, unwrapSensitive, wrapSensitive } from '../protection.ts';
import { refuse } from '../refusal.ts';
import { recoverSecret } from '../secret.ts';

const NONE = new Uint8Array(0);

/** Bytes for a key that need not come again. */
function freshStream(machine: Machine) {
  return derivedStream(machine.random(64), 'CREATE', NONE, NONE);
}

function templateOf(bytes: Uint8Array): TPMT_PUBLIC {
  try {
    return decode(TPMT_PUBLIC, bytes);
  } catch {
    return refuse('SIZE', 'inPublic');
  }
}

export const object = {
  /** 12.1 */
  TPM2_Create(machine, { parentHandle, inSensitive, inPublic, outsideInfo, creationPCR }, { locality }) {
    const parent = machine.object(parentHandle);
    const protector = protectorOf(parent, 'parentHandle');
    checkSensitiveOrigin(inPublic, inSensitive);
    checkPublic(inPublic, parent.publicArea, 'create', 'inPublic');
    const { publicArea, sensitive } = createObject(inPublic, inSensitive, freshStream(machine));
    const created = loadedObject(publicArea, sensitive, parent, parent.hierarchy);
    const outPrivate = wrapSensitive(protector, created.name, sensitive, machine.random);
    return {
      outPrivate,
      outPublic: publicArea,
      ...creationFacts(machine, created, parent, { outsideInfo, creationPCR, locality }),
    };
  },

  /** 12.2 */
  TPM2_Load(machine, { parentHandle, inPrivate, inPublic }) {
    requireSlot(machine);
    const parent = machine.object(parentHandle);
    if (inPrivate.length === 0) refuse('SIZE', 'inPrivate');
    const protector = protectorOf(parent, 'parentHandle');
    checkPublic(inPublic, parent.publicArea, 'load', 'inPublic');
    const sensitive = unwrapSensitive(protector, objectName(inPublic), inPrivate, 'inPrivate');
    checkPair(inPublic, sensitive, 'inPrivate');
    const loaded = loadedObject(inPublic, sensitive, parent, parent.hierarchy);
    return { objectHandle: addTransient(machine, loaded), name: loaded.name };
  },

  /** 12.3 */
  TPM2_LoadExternal(machine, { inPrivate, inPublic, hierarchy }) {
    requireSlot(machine);
    if (!machine.isHierarchyEnabled(hierarchy)) refuse('HIERARCHY', 'hierarchy');
    if (inPrivate !== undefined) {
      if (hierarchy !== TPM_RH.NULL) refuse('HIERARCHY', 'hierarchy');
      checkPublic(inPublic, undefined, 'external', 'inPublic');
      checkPair(inPublic, inPrivate, 'inPrivate');
    } else checkAlgorithms(inPublic, 'inPublic');
    const sensitive = inPrivate === undefined ? undefined : { ...inPrivate, authValue: trimAuth(inPrivate.authValue) };
    const loaded = loadedObject(inPublic, sensitive, undefined, hierarchy, true);
    return { objectHandle: addTransient(machine, loaded), name: loaded.name };
  },

  /** 12.4 */
  TPM2_ReadPublic(machine, { objectHandle }) {
    const { publicArea, name, qualifiedName } = machine.object(objectHandle);
    return { outPublic: publicArea, name, qualifiedName };
  },

  /** 12.5 */
  TPM2_ActivateCredential(machine, { activateHandle, keyHandle, credentialBlob, secret }) {
    const activated = machine.object(activateHandle);
    const key = machine.object(keyHandle);
    if (key.publicArea.type !== 'rsa' && key.publicArea.type !== 'ecc') refuse('TYPE', 'keyHandle');
    const parent = protectorOf(key, 'keyHandle');
    const seed = recoverSecret(key, 'IDENTITY', secret, 'secret');
    if (seed.length > digestInfo(parent.nameAlg).size) refuse('SIZE', 'secret');
    const protector = { ...parent, seed };
    const { integrityHMAC, encIdentity } = decode(TPMS_ID_OBJECT, credentialBlob);
    if (!bytesEqual(integrityHMAC, integrity(protector, activated.name, encIdentity)))
      refuse('INTEGRITY', 'credentialBlob');
    const plain = new ByteReader(decryptCfb(protector, activated.name, new Uint8Array(16), encIdentity));
    return { certInfo: TPM2B_DIGEST.read(plain) };
  },

  /** 12.6 */
  TPM2_MakeCredential(machine, { handle, credential, objectName: name }) {
    const { publicArea } = machine.object(handle);
    const { restricted, decrypt } = publicArea.objectAttributes;
    const isStorageKey = (publicArea.type === 'rsa' || publicArea.type === 'ecc') && restricted && decrypt;
    if (!isStorageKey || publicArea.nameAlg === 'null') return refuse('TYPE', 'handle');
    if (credential.length > digestInfo(publicArea.nameAlg).size) refuse('SIZE', 'credential');
    return makeCredential(publicArea, name, credential);
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

  /** 12.8 */
  TPM2_ObjectChangeAuth(machine, { objectHandle, parentHandle, newAuth }) {
    const { publicArea, sensitive, name, qualifiedName } = machine.object(objectHandle);
    const parent = machine.object(parentHandle);
    const authValue = trimAuth(newAuth);
    if (publicArea.nameAlg === 'null' || authValue.length > digestInfo(publicArea.nameAlg).size)
      refuse('SIZE', 'newAuth');
    const expected = loadedObject(publicArea, undefined, parent, parent.hierarchy).qualifiedName;
    if (!bytesEqual(expected, qualifiedName)) refuse('TYPE', 'parentHandle');
    if (sensitive === undefined) return refuse('TYPE', 'objectHandle');
    const protector = protectorOf(parent, 'parentHandle');
    return { outPrivate: wrapSensitive(protector, name, { ...sensitive, authValue }, machine.random) };
  },

  /** 12.9: a primary key, or an ordinary child (derivation parents are not implemented). */
  TPM2_CreateLoaded(machine, { parentHandle, inSensitive, inPublic }) {
    requireSlot(machine);
    const template = templateOf(inPublic);
    checkSensitiveOrigin(template, inSensitive);
    const permanents: readonly number[] = [TPM_RH.OWNER, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM, TPM_RH.NULL];
    if (permanents.includes(parentHandle)) {
      checkPublic(template, undefined, 'create', 'inPublic');
      const primary = createPrimaryObject(machine, parentHandle, template, inSensitive);
      return {
        objectHandle: addTransient(machine, primary),
        outPrivate: NONE,
        outPublic: primary.publicArea,
        name: primary.name,
      };
    }
    const parent = machine.object(parentHandle);
    const protector = protectorOf(parent, 'parentHandle');
    checkPublic(template, parent.publicArea, 'create', 'inPublic');
    const { publicArea, sensitive } = createObject(template, inSensitive, freshStream(machine));
    const created = loadedObject(publicArea, sensitive, parent, parent.hierarchy);
    const outPrivate = wrapSensitive(protector, created.name, sensitive, machine.random);
    return { objectHandle: addTransient(machine, created), outPrivate, outPublic: publicArea, name: created.name };
  },
} satisfies Handlers;
