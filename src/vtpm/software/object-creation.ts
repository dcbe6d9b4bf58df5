/** Making objects (Part 1, 25 to 28; Part 4, CryptCreateObject and FillInCreationData). */
import { createHmac } from 'node:crypto';
import { digest, digestInfo } from '../../bytes/index.ts';
import {
  encode,
  handleName,
  objectName,
  qualifiedName,
  TPMA_LOCALITY,
  type TPML_PCR_SELECTION,
  TPMS_CREATION_DATA,
  type TPMS_SENSITIVE_CREATE,
  type TPMT_PUBLIC,
  type TPMT_SENSITIVE,
  type TPMT_TK_CREATION,
  trimAuth,
} from '../../tpm/index.ts';
import { type ByteStream, eccKey, rsaKey } from './key-generation.ts';
import { isImplementedHash } from './limits.ts';
import type { Machine } from './machine.ts';
import { pcrDigestOf } from './pcr-digest.ts';
import { refuse } from './refusal.ts';
import { hashBlockSize } from './sequence.ts';
import type { LoadedObject } from './state.ts';
import { checkSymmetricKey, cipherOf, symmetricKey } from './symmetric.ts';
import { creationTicket } from './tickets.ts';

const NONE = new Uint8Array(0);

/** As it is kept. @throws {Refusal} `SIZE` about `field` where it is longer than the name algorithm's digest */
export function keptAuth(auth: Uint8Array, nameAlg: TPMT_PUBLIC['nameAlg'], field: string): Uint8Array {
  const trimmed = trimAuth(auth);
  const most = nameAlg === 'null' ? 64 : digestInfo(nameAlg).size;
  return trimmed.length <= most ? trimmed : refuse('SIZE', field);
}

export interface Created {
  readonly publicArea: TPMT_PUBLIC;
  readonly sensitive: TPMT_SENSITIVE;
}

/** Where the bytes of a new object come from. */
export interface Randomness {
  readonly key: ByteStream;
  /** Of what it protects its children with, or hides its private part by. */
  readonly seed: ByteStream;
}

/** Fills `unique` and makes the sensitive area. @param userAuth as it is kept @throws {Refusal} about the key's size or data */
export function createObject(
  template: TPMT_PUBLIC,
  userAuth: Uint8Array,
  data: TPMS_SENSITIVE_CREATE['data'],
  random: Randomness,
): Created {
  const { nameAlg, objectAttributes } = template;
  if (nameAlg === 'null') return refuse('HASH', 'inPublic');
  const given = objectAttributes.sensitiveDataOrigin ? NONE : data;
  const { publicArea, sensitive } = createKey(template, given, random, digestInfo(nameAlg).size);
  return { publicArea, sensitive: { ...sensitive, authValue: userAuth } };
}

function createKey(template: TPMT_PUBLIC, data: Uint8Array, random: Randomness, seedSize: number): Created {
  switch (template.type) {
    case 'rsa': {
      const { n, p } = rsaKey(template.parameters.keyBits, template.parameters.exponent, random.key);
      const sensitive = { sensitiveType: 'rsa', sensitive: p, ...parentArea(template, random, seedSize) } as const;
      return { publicArea: { ...template, unique: n }, sensitive };
    }
    case 'ecc': {
      const { d, x, y } = eccKey(template.parameters.curveID, random.key);
      const sensitive = { sensitiveType: 'ecc', sensitive: d, ...parentArea(template, random, seedSize) } as const;
      return { publicArea: { ...template, unique: { x, y } }, sensitive };
    }
    case 'keyedhash': {
      const key = keyedHashData(template, data, random.key);
      const area = { authValue: NONE, seedValue: random.seed(seedSize) };
      const sensitive = { sensitiveType: 'keyedhash', sensitive: key, ...area } as const;
      return { publicArea: { ...template, unique: symmetricUnique(template, sensitive) }, sensitive };
    }
    case 'symcipher': {
      const cipher = cipherOf(template.parameters.sym) ?? refuse('SYMMETRIC', 'inPublic');
      if (data.length > 0) checkSymmetricKey(cipher, data);
      const key = data.length > 0 ? data : symmetricKey(cipher, random.key);
      const area = { authValue: NONE, seedValue: random.seed(seedSize) };
      const sensitive = { sensitiveType: 'symcipher', sensitive: key, ...area } as const;
      return { publicArea: { ...template, unique: symmetricUnique(template, sensitive) }, sensitive };
    }
  }
}

/** A storage key protects its children with a seed; other asymmetric keys have none. */
function parentArea({ objectAttributes }: TPMT_PUBLIC, random: Randomness, size: number) {
  const seed = random.seed(size);
  return { authValue: NONE, seedValue: objectAttributes.restricted && !objectAttributes.sign ? seed : NONE };
}

/** A key is at most a block of its hash long (Part 1, 11.4.5); sealed data as long as the structure lets it. */
function keyedHashData(
  { nameAlg, objectAttributes, parameters }: Extract<TPMT_PUBLIC, { type: 'keyedhash' }>,
  data: Uint8Array,
  random: ByteStream,
): Uint8Array {
  const { scheme } = parameters;
  const hashAlg = 'hashAlg' in scheme ? scheme.hashAlg : nameAlg;
  if (hashAlg === 'null' || !isImplementedHash(hashAlg)) return refuse('HASH', 'inPublic');
  if (data.length === 0) return random(digestInfo(hashAlg).size);
  const isKey = objectAttributes.sign === true || objectAttributes.decrypt === true;
  return isKey && data.length > hashBlockSize(hashAlg) ? refuse('SIZE') : data;
}

/** Part 4, CryptComputeSymmetricUnique: a parent's key is in an HMAC, so that its seed stays apart from it. */
export function symmetricUnique({ nameAlg, objectAttributes }: TPMT_PUBLIC, sensitive: TPMT_SENSITIVE): Uint8Array {
  if (nameAlg === 'null') return NONE;
  const { seedValue, sensitive: key } = sensitive;
  if (!objectAttributes.restricted || !objectAttributes.decrypt) return digest(nameAlg, seedValue, key);
  return createHmac(digestInfo(nameAlg).opensslName, seedValue).update(key).digest();
}

// --- what creation tells ----------------------------------------------------------------------------------------------

export interface CreationFacts {
  readonly creationData: TPMS_CREATION_DATA;
  readonly creationHash: Uint8Array;
  readonly creationTicket: TPMT_TK_CREATION;
}

export interface CreationRequest {
  readonly outsideInfo: Uint8Array;
  readonly creationPCR: TPML_PCR_SELECTION;
  readonly locality: number;
}

/** Part 1, 27.5. With no PCR selected the digest is that of nothing, as every TPM of the reference code has it. */
export function creationFacts(
  machine: Machine,
  object: Pick<LoadedObject, 'publicArea' | 'name' | 'hierarchy'>,
  parent: LoadedObject | undefined,
  { outsideInfo, creationPCR, locality }: CreationRequest,
): CreationFacts {
  const { nameAlg } = object.publicArea;
  if (nameAlg === 'null') return refuse('HASH', 'inPublic');
  const { selection, pcrDigest } = pcrDigestOf(machine, nameAlg, creationPCR);
  const parentName = parent?.name ?? handleName(object.hierarchy);
  const creationData: TPMS_CREATION_DATA = {
    pcrSelect: selection,
    pcrDigest,
    locality: localityAttributes(locality),
    parentNameAlg: parent?.publicArea.nameAlg ?? 'null',
    parentName,
    parentQualifiedName: parent?.qualifiedName ?? parentName,
    outsideInfo,
  };
  const creationHash = digest(nameAlg, encode(TPMS_CREATION_DATA, creationData));
  return {
    creationData,
    creationHash,
    creationTicket: creationTicket(machine, object.hierarchy, object.name, creationHash),
  };
}

function localityAttributes(locality: number): TPMS_CREATION_DATA['locality'] {
  const names = ['zero', 'one', 'two', 'three', 'four'] as const;
  const name = names[locality];
  return name === undefined ? TPMA_LOCALITY.fromNumber(locality) : { [name]: true };
}

// --- as it is loaded --------------------------------------------------------------------------------------------------

/** What it is loaded under: a parent, or a hierarchy alone. */
export interface Placement {
  readonly parent: LoadedObject | undefined;
  readonly hierarchy: number;
  readonly isExternal?: boolean;
}

export function loadedObject(
  publicArea: TPMT_PUBLIC,
  sensitive: TPMT_SENSITIVE | undefined,
  { parent, hierarchy, isExternal = false }: Placement,
): LoadedObject {
  const name = objectName(publicArea);
  const isStClear = publicArea.objectAttributes.stClear === true || parent?.isStClear === true;
  const qualified = isExternal
    ? name
    : qualifiedNameUnder(publicArea, name, parent?.qualifiedName ?? handleName(hierarchy));
  return { publicArea, sensitive, name, qualifiedName: qualified, hierarchy, isExternal, isStClear };
}

export function qualifiedNameUnder({ nameAlg }: TPMT_PUBLIC, name: Uint8Array, above: Uint8Array): Uint8Array {
  return nameAlg === 'null' ? name : qualifiedName(nameAlg, above, name);
}
