/**
 * Is a public area consistent, and does it go with its parent (Part 2, 8.3 and 12.2; Part 4, Object_spt.c: CreateChecks,
 * PublicAttributesValidation, SchemeChecks)? In the order of the reference code; every refusal is about one field.
 */
import { bytesEqual, digestInfo } from '../../bytes/index.ts';
import {
  encode,
  isAsymmetric,
  type ResponseCodeName,
  TPMT_KEYEDHASH_SCHEME,
  type TPMT_PUBLIC,
  TPMT_SYM_DEF_OBJECT_NULL,
} from '../../tpm/index.ts';
import { refuse } from './refusal.ts';
import type { LoadedObject } from './state.ts';

/** Restricted and decrypting: a storage key, or a parent for derived keys (Part 1, 23.2 and 28). */
function isParentArea({ nameAlg, objectAttributes }: TPMT_PUBLIC): boolean {
  return nameAlg !== 'null' && objectAttributes.restricted === true && objectAttributes.decrypt === true;
}

/** Protects children with its symmetric algorithm. An external object is no parent (Part 4, ObjectSetLoadedAttributes). */
export function isStorageParent({ publicArea, sensitive, isExternal }: LoadedObject): boolean {
  return isParentArea(publicArea) && publicArea.type !== 'keyedhash' && sensitive !== undefined && !isExternal;
}

export function isDerivationParent({ publicArea, sensitive, isExternal }: LoadedObject): boolean {
  return isParentArea(publicArea) && publicArea.type === 'keyedhash' && sensitive !== undefined && !isExternal;
}

/** Something can be duplicated to it: its public area is enough (Part 4, ObjectIsStorage). */
export function isStorageKey(area: TPMT_PUBLIC): boolean {
  const { restricted, decrypt, sign } = area.objectAttributes;
  return isAsymmetric(area) && restricted === true && decrypt === true && sign !== true;
}

/** @param dataSize of the sensitive data that the caller gives @throws {Refusal} about `field` */
export function checkCreation(
  parent: LoadedObject | undefined,
  area: TPMT_PUBLIC,
  dataSize: number,
  field: string,
): void {
  const { sensitiveDataOrigin, sign, decrypt, restricted, fixedParent, fixedTPM } = area.objectAttributes;
  const refuseAttributes = (): never => refuse('ATTRIBUTES', field);
  if (!sensitiveDataOrigin && dataSize === 0) refuseAttributes();
  // For a primary key the data is part of what its seed is taken with
  if (parent !== undefined && sensitiveDataOrigin && dataSize !== 0) refuseAttributes();
  if (area.type === 'keyedhash' && !sign && !decrypt && sensitiveDataOrigin) refuseAttributes();
  if (isAsymmetric(area)) {
    if (!sensitiveDataOrigin) refuseAttributes();
  } else if (restricted && !sensitiveDataOrigin && (fixedParent || fixedTPM)) refuseAttributes();
  checkPublic(parent, area, field);
}

/** @throws {Refusal} about `field` */
export function checkPublic(parent: LoadedObject | undefined, area: TPMT_PUBLIC, field: string): void {
  if (area.nameAlg === 'null') refuse('HASH', field);
  const { authPolicy } = area;
  if (authPolicy.length !== 0 && authPolicy.length !== digestInfo(area.nameAlg).size) refuse('SIZE', field);
  checkAttributes(parent, area, field);
  checkSchemes(parent, area, field);
}

function checkAttributes(parent: LoadedObject | undefined, area: TPMT_PUBLIC, field: string): void {
  const refuseAttributes = (): never => refuse('ATTRIBUTES', field);
  const { fixedTPM, fixedParent, encryptedDuplication, restricted, sign, decrypt } = area.objectAttributes;
  const above = parent?.publicArea.objectAttributes;
  // A parent that may move takes its children along
  if (above === undefined || above.fixedTPM) {
    if (fixedParent !== fixedTPM) refuseAttributes();
  } else if (fixedTPM) refuseAttributes();
  if ((sign === true) === (decrypt === true)) {
    if (restricted) refuseAttributes();
    if (area.type !== 'keyedhash' && !sign) refuseAttributes();
  }
  if (fixedTPM && encryptedDuplication) refuseAttributes();
  if (above !== undefined && !above.fixedTPM && encryptedDuplication !== above.encryptedDuplication) refuseAttributes();
  if (parent !== undefined && isDerivationParent(parent)) {
    if (fixedTPM !== above?.fixedTPM || !fixedParent) refuseAttributes();
  }
}

/** Part 2, 12.2.3: what the attributes demand of scheme and symmetric algorithm. */
export function checkSchemes(parent: LoadedObject | undefined, area: TPMT_PUBLIC, field: string): void {
  const { restricted, decrypt, fixedParent } = area.objectAttributes;
  const refuseIt = (name: ResponseCodeName): never => refuse(name, field);
  if (area.type === 'symcipher') {
    if (decrypt && area.parameters.sym.mode === 'cmac') refuseIt('SCHEME');
  } else if (area.type === 'keyedhash') checkKeyedHash(area, field);
  else checkAsymmetric(area, field);
  if (area.type === 'keyedhash' || !restricted || !decrypt) return;
  const symmetric = area.type === 'symcipher' ? area.parameters.sym : area.parameters.symmetric;
  if (symmetric.algorithm === 'null') refuseIt('SYMMETRIC');
  if (!fixedParent || parent === undefined) return;
  // What cannot leave its parent protects its children as it is protected itself
  if (area.nameAlg !== parent.publicArea.nameAlg) refuseIt('HASH');
  if (!bytesEqual(leadingParameters(area), leadingParameters(parent.publicArea))) refuseIt('SYMMETRIC');
}

/** The symmetric definition, which comes first in the parameters of every parent but one for derived keys. */
function leadingParameters(area: TPMT_PUBLIC): Uint8Array {
  if (area.type === 'keyedhash') return encode(TPMT_KEYEDHASH_SCHEME, area.parameters.scheme);
  const symmetric = area.type === 'symcipher' ? area.parameters.sym : area.parameters.symmetric;
  return encode(TPMT_SYM_DEF_OBJECT_NULL, symmetric);
}

function checkKeyedHash(area: Extract<TPMT_PUBLIC, { type: 'keyedhash' }>, field: string): void {
  const { sign, decrypt, restricted } = area.objectAttributes;
  const { scheme } = area.parameters;
  const needed = (sign === true) === (decrypt === true) ? 'null' : sign ? 'hmac' : 'xor';
  if (scheme.scheme !== needed) refuse('SCHEME', field);
  if (scheme.scheme === 'xor' && restricted && scheme.kdf !== 'kdf1_sp800_108') refuse('SCHEME', field);
}

const SIGNING: Readonly<Record<'rsa' | 'ecc', readonly string[]>> = {
  rsa: ['rsassa', 'rsapss'],
  ecc: ['ecdsa', 'ecdaa', 'ecschnorr', 'sm2'],
};
const DECRYPTING: Readonly<Record<'rsa' | 'ecc', readonly string[]>> = {
  rsa: ['rsaes', 'oaep'],
  ecc: ['ecdh', 'sm2', 'ecmqv'],
};

function checkAsymmetric(area: Extract<TPMT_PUBLIC, { type: 'rsa' | 'ecc' }>, field: string): void {
  const { sign, decrypt, restricted } = area.objectAttributes;
  const { scheme } = area.parameters.scheme;
  const isNull = scheme === 'null';
  if ((sign === true) === (decrypt === true)) {
    if (!isNull) refuse('SCHEME', field);
  } else if (sign) {
    if (!SIGNING[area.type].includes(scheme) && (restricted || !isNull)) refuse('SCHEME', field);
  } else if (!isNull && (restricted || !DECRYPTING[area.type].includes(scheme))) refuse('SCHEME', field);
  if (!(restricted && decrypt) && area.parameters.symmetric.algorithm !== 'null') refuse('SYMMETRIC', field);
  if (area.type === 'ecc' && area.parameters.kdf.scheme !== 'null') refuse('KDF', field);
}
