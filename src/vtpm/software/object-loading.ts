/** Do a public and a sensitive area make an object (Part 4, Object.c: ObjectLoad; CryptUtil.c: CryptValidateKeys)? */
import { bytesEqual, digestInfo } from '../../bytes/index.ts';
import type { TPMT_PUBLIC, TPMT_SENSITIVE } from '../../tpm/index.ts';
import { CURVES } from './curves.ts';
import { isOnCurve, isPrivateScalar, multiply, toBigInt } from './ecc.ts';
import { isImplementedHash } from './limits.ts';
import { symmetricUnique } from './object-creation.ts';
import { checkPublic, checkSchemes } from './public-checks.ts';
import { refuse } from './refusal.ts';
import { hashBlockSize } from './sequence.ts';
import type { LoadedObject } from './state.ts';
import { checkSymmetricKey, cipherOf } from './symmetric.ts';

/** The parameters that the two areas came in. */
export interface Fields {
  readonly publicField: string;
  readonly privateField: string;
}

/** Whose word there is that the areas belong together. */
export interface LoadingContext extends Fields {
  readonly parent?: LoadedObject;
  /** A parent that never left this TPM vouches for what it protects: the keys are not checked again. */
  readonly isVouched?: boolean;
  /** It is not loaded yet: whether an RSA key's prime is one of its modulus, will show then. */
  readonly isImported?: boolean;
}

/** @throws {Refusal} about one of the two fields; `BINDING` where the two do not belong together */
export function checkObject(area: TPMT_PUBLIC, sensitive: TPMT_SENSITIVE | undefined, context: LoadingContext): void {
  const { parent, publicField, privateField, isVouched = false, isImported = false } = context;
  if (sensitive === undefined || area.nameAlg === 'null') checkSchemes(undefined, area, publicField);
  else {
    if (sensitive.seedValue.length > digestInfo(area.nameAlg).size) refuse('KEY_SIZE', privateField);
    checkPublic(parent, area, publicField);
  }
  if (!isVouched) checkKeys(area, sensitive, context);
  if (area.type === 'rsa' && sensitive !== undefined && !isImported) checkFactor(area, sensitive.sensitive);
}

function checkKeys(area: TPMT_PUBLIC, sensitive: TPMT_SENSITIVE | undefined, fields: Fields): void {
  const { privateField } = fields;
  const digestSize = area.nameAlg === 'null' ? 0 : digestInfo(area.nameAlg).size;
  if (sensitive !== undefined) {
    if (sensitive.sensitiveType !== area.type) refuse('TYPE', privateField);
    if (digestSize > 0 && sensitive.authValue.length > digestSize) refuse('SIZE', privateField);
  }
  if (area.type === 'rsa') checkRsa(area, sensitive, fields);
  else if (area.type === 'ecc') checkEcc(area, sensitive, fields);
  else if (sensitive === undefined) {
    if (area.unique.length !== digestSize) refuse('KEY', fields.publicField);
  } else checkSymmetric(area, sensitive, fields, digestSize);
  const { restricted, decrypt } = area.objectAttributes;
  if (!restricted || !decrypt || sensitive === undefined || digestSize === 0) return;
  const { length } = sensitive.seedValue;
  if (length < digestSize / 2 || length > digestSize) refuse('SIZE', privateField);
}

type Area<T extends TPMT_PUBLIC['type']> = Extract<TPMT_PUBLIC, { type: T }>;

function checkRsa(
  { parameters, unique }: Area<'rsa'>,
  sensitive: TPMT_SENSITIVE | undefined,
  { publicField, privateField }: Fields,
): void {
  const { keyBits, exponent } = parameters;
  if (unique.length * 8 !== keyBits || (unique[0] ?? 0) < 0x80) refuse('KEY', publicField);
  if (exponent !== 0 && exponent < 7) refuse('VALUE', publicField);
  if (sensitive === undefined) return;
  const prime = sensitive.sensitive;
  if (prime.length * 16 !== keyBits || (prime[0] ?? 0) < 0x80) refuse('KEY_SIZE', privateField);
}

const greatestDivisor = (a: bigint, b: bigint): bigint => (b === 0n ? a : greatestDivisor(b, a % b));

/**
 * A prime that does not divide the modulus is not its; and there has to be a private exponent, which an even public one has
 * not (Part 4, CryptRsaLoadPrivateExponent).
 */
function checkFactor({ parameters, unique }: Area<'rsa'>, factor: Uint8Array): void {
  const [n, p] = [toBigInt(unique), toBigInt(factor)];
  if (p < 2n || n % p !== 0n) refuse('BINDING');
  const q = n / p;
  const e = BigInt(parameters.exponent || 65537);
  if (p === q || greatestDivisor(p - 1n, e) !== 1n || greatestDivisor(q - 1n, e) !== 1n) refuse('BINDING');
}

function checkEcc(
  { nameAlg, parameters, unique }: Area<'ecc'>,
  sensitive: TPMT_SENSITIVE | undefined,
  { publicField }: Fields,
): void {
  const { curveID } = parameters;
  const { size } = CURVES[curveID];
  if (sensitive === undefined) {
    if (unique.x.length !== size || unique.y.length !== size) refuse('KEY', publicField);
    if (nameAlg !== 'null' && !isOnCurve(curveID, unique)) refuse('ECC_POINT', publicField);
    return;
  }
  if (!isPrivateScalar(curveID, sensitive.sensitive)) refuse('KEY_SIZE');
  if (nameAlg === 'null') return;
  const point = multiply(curveID, sensitive.sensitive);
  const isSame = (a: Uint8Array, b: Uint8Array): boolean => toBigInt(a) === toBigInt(b);
  if (point === undefined || !isSame(point.x, unique.x) || !isSame(point.y, unique.y)) refuse('BINDING');
}

function checkSymmetric(
  area: Area<'keyedhash' | 'symcipher'>,
  sensitive: TPMT_SENSITIVE,
  { publicField, privateField }: Fields,
  digestSize: number,
): void {
  if (area.type === 'symcipher') {
    const cipher = cipherOf(area.parameters.sym) ?? refuse('SYMMETRIC', publicField);
    checkSymmetricKey(cipher, sensitive.sensitive, privateField);
  } else if (sensitive.sensitive.length > mostData(area)) refuse('KEY_SIZE', privateField);
  if (digestSize === 0) return;
  if (sensitive.seedValue.length !== digestSize) refuse('KEY_SIZE', privateField);
  if (!bytesEqual(area.unique, symmetricUnique(area, sensitive))) refuse('BINDING');
}

/** A block of the scheme's hash, or as much as can be sealed. */
function mostData({ parameters }: Area<'keyedhash'>): number {
  const { scheme } = parameters;
  return 'hashAlg' in scheme && isImplementedHash(scheme.hashAlg) ? hashBlockSize(scheme.hashAlg) : 128;
}
