/** Making and checking objects (Part 1, 25 to 27; Part 4, Object.c and CryptUtil.c). */
import { bytesEqual, digest, digestInfo } from '../../bytes/index.ts';
import {
  encode,
  handleName,
  objectName,
  qualifiedName,
  type TPML_PCR_SELECTION,
  TPMS_CREATION_DATA,
  type TPMS_SENSITIVE_CREATE,
  type TPMT_PUBLIC,
  type TPMT_SENSITIVE,
  type TPMT_TK_CREATION,
  trimAuth,
} from '../../tpm/index.ts';
import { type ByteStream, eccKey, rsaKey } from './key-generation.ts';
import { AES_KEY_BITS, isImplementedHash, MAX_TRANSIENT, RSA_KEY_BITS } from './limits.ts';
import type { Machine } from './machine.ts';
import { selectPcrs } from './pcr-banks.ts';
import { isEccPair, isSupportedCurve } from './private-key.ts';
import { storageKeyBits } from './protection.ts';
import { refuse } from './refusal.ts';
import type { Sequence } from './sequence.ts';
import type { LoadedObject } from './state.ts';
import { creationTicket } from './tickets.ts';

const NONE = new Uint8Array(0);

// --- checks of a template ---------------------------------------------------------------------------------------------

/** What surrounds a public area: how much has to be consistent. */
export type Origin = 'create' | 'load' | 'external';

/** Part 4, PublicAttributesValidation and SchemeChecks. @throws {Refusal} about `field` */
export function checkPublic(area: TPMT_PUBLIC, parent: TPMT_PUBLIC | undefined, origin: Origin, field: string): void {
  if (area.nameAlg === 'null' && origin !== 'external') refuse('HASH', field);
  checkAlgorithms(area, field);
  const { authPolicy, nameAlg } = area;
  if (authPolicy.length > 0 && (nameAlg === 'null' || authPolicy.length !== digestInfo(nameAlg).size))
    refuse('SIZE', field);
  checkAttributes(area, parent, origin, field);
  checkSchemes(area, field);
}

/** Which of the declared algorithms are implemented here. */
export function checkAlgorithms(area: TPMT_PUBLIC, field: string): void {
  if (area.nameAlg !== 'null' && !isImplementedHash(area.nameAlg)) refuse('HASH', field);
  if (area.type === 'rsa') {
    if (!RSA_KEY_BITS.includes(area.parameters.keyBits)) refuse('VALUE', field);
    if (area.parameters.exponent !== 0 && area.parameters.exponent !== 65537) refuse('RANGE', field);
  }
  if (area.type === 'ecc' && !isSupportedCurve(area.parameters.curveID)) refuse('CURVE', field);
  const symmetric =
    area.type === 'symcipher' ? area.parameters.sym : area.type === 'keyedhash' ? undefined : area.parameters.symmetric;
  if (symmetric === undefined || symmetric.algorithm === 'null') return;
  if (symmetric.algorithm !== 'aes') refuse('SYMMETRIC', field);
  else if (!AES_KEY_BITS.includes(symmetric.keyBits)) refuse('VALUE', field);
}

function checkAttributes(area: TPMT_PUBLIC, parent: TPMT_PUBLIC | undefined, origin: Origin, field: string): void {
  const attributes = area.objectAttributes;
  const { fixedTPM, fixedParent, encryptedDuplication, restricted, decrypt, sign } = attributes;
  if (origin === 'external') {
    if (fixedTPM || fixedParent || restricted) refuse('ATTRIBUTES', field);
    return;
  }
  // A parent that may move takes its children along: fixedTPM needs a parent that is fixed (Part 2, 8.3.3.2)
  const isParentFixed = parent === undefined || parent.objectAttributes.fixedTPM === true;
  if (fixedParent ? (fixedTPM === true) !== isParentFixed : fixedTPM === true) refuse('ATTRIBUTES', field);
  const parentEncrypts = parent?.objectAttributes.encryptedDuplication === true;
  if (fixedTPM && encryptedDuplication) refuse('ATTRIBUTES', field);
  if (
    parent !== undefined &&
    !parent.objectAttributes.fixedTPM &&
    fixedParent &&
    (encryptedDuplication === true) !== parentEncrypts
  ) {
    refuse('ATTRIBUTES', field);
  }
  if (restricted && sign && decrypt) refuse('ATTRIBUTES', field);
  if (restricted && !sign && !decrypt) refuse('ATTRIBUTES', field);
  if (area.type !== 'keyedhash' && !sign && !decrypt) refuse('ATTRIBUTES', field);
}

/** Part 2, 12.2.3: what the attributes demand of symmetric algorithm and scheme. */
function checkSchemes(area: TPMT_PUBLIC, field: string): void {
  const { restricted, decrypt, sign } = area.objectAttributes;
  const isParent = restricted === true && decrypt === true;
  if (area.type === 'symcipher') {
    if (area.parameters.sym.algorithm === 'null') refuse('SYMMETRIC', field);
    if (isParent && storageKeyBits(area) === undefined) refuse('SYMMETRIC', field);
    return;
  }
  const { scheme } = area.parameters.scheme;
  if (area.type === 'keyedhash') {
    const needed = (sign === true) === (decrypt === true) ? 'null' : sign ? 'hmac' : 'xor';
    if (scheme !== needed) refuse('SCHEME', field);
    return;
  }
  if (isParent) {
    if (storageKeyBits(area) === undefined) refuse('SYMMETRIC', field);
    if (scheme !== 'null') refuse('SCHEME', field);
  } else if (area.parameters.symmetric.algorithm !== 'null') refuse('SYMMETRIC', field);
  if (area.type === 'ecc' && area.parameters.kdf.scheme !== 'null') refuse('KDF', field);
  const isSigningScheme = ['rsassa', 'rsapss', 'ecdsa'].includes(scheme);
  if (scheme === 'null') {
    if (sign && restricted) refuse('SCHEME', field);
    return;
  }
  const isKnown = isSigningScheme || ['rsaes', 'oaep', 'ecdh'].includes(scheme);
  if (!isKnown || (sign && decrypt) || (isSigningScheme ? !sign : !decrypt)) refuse('SCHEME', field);
}

// --- making -----------------------------------------------------------------------------------------------------------

export interface Created {
  readonly publicArea: TPMT_PUBLIC;
  readonly sensitive: TPMT_SENSITIVE;
}

/** Part 4, CryptCreateObject: fills `unique` and makes the sensitive area. */
export function createObject(template: TPMT_PUBLIC, inSensitive: TPMS_SENSITIVE_CREATE, random: ByteStream): Created {
  const { nameAlg, objectAttributes } = template;
  if (nameAlg === 'null') return refuse('HASH', 'inPublic');
  const { size } = digestInfo(nameAlg);
  const authValue = trimAuth(inSensitive.userAuth);
  if (authValue.length > size) refuse('SIZE', 'inSensitive');
  const isParent = objectAttributes.restricted === true && objectAttributes.decrypt === true;
  switch (template.type) {
    case 'rsa': {
      const { n, p } = rsaKey(template.parameters.keyBits, random);
      const seedValue = isParent ? random(size) : NONE;
      return {
        publicArea: { ...template, unique: n },
        sensitive: { sensitiveType: 'rsa', authValue, seedValue, sensitive: p },
      };
    }
    case 'ecc': {
      const curve = template.parameters.curveID;
      if (!isSupportedCurve(curve)) return refuse('CURVE', 'inPublic');
      const { d, x, y } = eccKey(curve, random);
      const seedValue = isParent ? random(size) : NONE;
      return {
        publicArea: { ...template, unique: { x, y } },
        sensitive: { sensitiveType: 'ecc', authValue, seedValue, sensitive: d },
      };
    }
    case 'keyedhash': {
      const data = objectAttributes.sensitiveDataOrigin ? random(size) : inSensitive.data;
      const seedValue = random(size);
      const unique = digest(nameAlg, seedValue, data);
      return {
        publicArea: { ...template, unique },
        sensitive: { sensitiveType: 'keyedhash', authValue, seedValue, sensitive: data },
      };
    }
    case 'symcipher': {
      const { sym } = template.parameters;
      if (sym.algorithm !== 'aes') return refuse('SYMMETRIC', 'inPublic');
      const key = objectAttributes.sensitiveDataOrigin ? random(sym.keyBits / 8) : inSensitive.data;
      if (key.length !== sym.keyBits / 8) refuse('KEY_SIZE', 'inSensitive');
      const seedValue = random(size);
      const unique = digest(nameAlg, seedValue, key);
      return {
        publicArea: { ...template, unique },
        sensitive: { sensitiveType: 'symcipher', authValue, seedValue, sensitive: key },
      };
    }
  }
}

/** Part 3, 12.1.3 and 24.1.3: where the key comes from must be what sensitiveDataOrigin says. */
export function checkSensitiveOrigin(template: TPMT_PUBLIC, { data }: TPMS_SENSITIVE_CREATE): void {
  const { sensitiveDataOrigin, sign, decrypt } = template.objectAttributes;
  const isSymmetric = template.type === 'keyedhash' || template.type === 'symcipher';
  if (!isSymmetric) {
    if (!sensitiveDataOrigin) refuse('ATTRIBUTES', 'inPublic');
    if (data.length > 0) refuse('VALUE', 'inSensitive');
    return;
  }
  if (data.length === 0 && !sensitiveDataOrigin && !(template.type === 'keyedhash' && !sign && !decrypt))
    refuse('ATTRIBUTES', 'inSensitive');
  if (data.length > 0 && sensitiveDataOrigin) refuse('ATTRIBUTES', 'inSensitive');
  // A sealed object holds data and nothing else (Part 1, 25.2.3)
  if (template.type === 'keyedhash' && !sign && !decrypt && sensitiveDataOrigin) refuse('ATTRIBUTES', 'inPublic');
}

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

/** Part 1, 27.5 and Part 4, FillInCreationData. */
export function creationFacts(
  machine: Machine,
  object: Pick<LoadedObject, 'publicArea' | 'name' | 'hierarchy'>,
  parent: LoadedObject | undefined,
  { outsideInfo, creationPCR, locality }: CreationRequest,
): CreationFacts {
  const { nameAlg } = object.publicArea;
  if (nameAlg === 'null') return refuse('HASH', 'inPublic');
  const { selection, digests } = selectPcrs(machine, creationPCR);
  const parentName = parent?.name ?? handleName(object.hierarchy);
  const creationData: TPMS_CREATION_DATA = {
    pcrSelect: selection,
    pcrDigest: selection.length === 0 ? NONE : digest(nameAlg, ...digests),
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
  return name === undefined ? { extended: locality >> 5 } : { [name]: true };
}

// --- loading ----------------------------------------------------------------------------------------------------------

/** Part 4, ObjectLoad: do the two halves belong together? @throws {Refusal} `BINDING`, `TYPE`, `KEY_SIZE` … */
export function checkPair(area: TPMT_PUBLIC, sensitive: TPMT_SENSITIVE, privateField: string): void {
  if (sensitive.sensitiveType !== area.type) refuse('TYPE', privateField);
  const { nameAlg } = area;
  if (nameAlg !== 'null' && sensitive.authValue.length > digestInfo(nameAlg).size) refuse('SIZE', privateField);
  if (area.type === 'rsa') {
    if (area.unique.length * 8 !== area.parameters.keyBits) refuse('KEY', 'inPublic');
    if (sensitive.sensitive.length * 2 !== area.unique.length) refuse('KEY_SIZE', privateField);
    const [n, p] = [area.unique, sensitive.sensitive].map((bytes) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
    if (n === undefined || p === undefined || p < 2n || n % p !== 0n) refuse('BINDING', privateField);
  } else if (area.type === 'ecc') {
    const curve = area.parameters.curveID;
    const isPair = isSupportedCurve(curve) && isEccPair(curve, sensitive.sensitive, area.unique.x, area.unique.y);
    if (!isPair) refuse('BINDING', privateField);
  } else if (nameAlg !== 'null') {
    const expected = digest(nameAlg, sensitive.seedValue, sensitive.sensitive);
    if (!bytesEqual(expected, area.unique)) refuse('BINDING', privateField);
  }
}

export function loadedObject(
  publicArea: TPMT_PUBLIC,
  sensitive: TPMT_SENSITIVE | undefined,
  parent: LoadedObject | undefined,
  hierarchy: number,
  isExternal = false,
): LoadedObject {
  const name = objectName(publicArea);
  const { nameAlg } = publicArea;
  const above = parent?.qualifiedName ?? handleName(hierarchy);
  const qualified = nameAlg === 'null' || isExternal ? name : qualifiedName(nameAlg, above, name);
  return { publicArea, sensitive, name, qualifiedName: qualified, hierarchy, isExternal };
}

const FIRST_TRANSIENT = 0x80000000;

/** Puts an object into the first free slot. @throws {Refusal} `OBJECT_MEMORY` */
export function addTransient(machine: Machine, object: LoadedObject): number {
  const handle = freeHandle(machine);
  machine.volatile.transients.set(handle, object);
  return handle;
}

export function addSequence(machine: Machine, sequence: Sequence): number {
  const handle = freeHandle(machine);
  machine.volatile.sequences.set(handle, sequence);
  return handle;
}

function freeHandle(machine: Machine): number {
  requireSlot(machine);
  const { transients, sequences } = machine.volatile;
  let handle = FIRST_TRANSIENT;
  while (transients.has(handle) || sequences.has(handle)) handle++;
  return handle;
}

export function requireSlot({ volatile }: Machine): void {
  if (volatile.transients.size + volatile.sequences.size >= MAX_TRANSIENT) refuse('OBJECT_MEMORY');
}
