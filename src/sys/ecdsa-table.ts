/**
 * ECDSA on P-256 for thousands of signatures by one key, as a tree of files has: OpenSSL's own multiplication by a fixed
 * point, of which it has a table for the generator, with such a table for the public key too. Half of the time of
 * EVP_PKEY_verify, which doubles its way through the key's multiple anew for each signature.
 *
 * The table only ever confirms: what it does not find valid, EVP_PKEY_verify judges.
 */
import type { KeyObject } from 'node:crypto';
import { type EcdsaVerifier, ecdsaVerifier } from './ecdsa.ts';
import { SysError } from './error.ts';
import { native } from './native.ts';

/** A C pointer as koffi gives it; null for NULL. */
type Pointer = bigint | null;

const newGroup = native<[number], Pointer>('void *EC_GROUP_new_by_curve_name(int nid)');
const freeGroup = native<[Pointer], void>('void EC_GROUP_free(void *group)');
const orderOf = native<[Pointer], Pointer>('void *EC_GROUP_get0_order(void *group)');
const cofactorOf = native<[Pointer], Pointer>('void *EC_GROUP_get0_cofactor(void *group)');
const setGenerator = native<[Pointer, Pointer, Pointer, Pointer], number>(
  'int EC_GROUP_set_generator(void *group, void *point, void *order, void *cofactor)',
);
const precompute = native<[Pointer, Pointer], number>('int EC_GROUP_precompute_mult(void *group, void *context)');
const newPoint = native<[Pointer], Pointer>('void *EC_POINT_new(void *group)');
const readPoint = native<[Pointer, Pointer, Uint8Array, number, Pointer], number>(
  'int EC_POINT_oct2point(void *group, void *point, const uint8_t *bytes, size_t size, void *context)',
);
const multiply = native<[Pointer, Pointer, Pointer, null, null, Pointer], number>(
  'int EC_POINT_mul(void *group, void *result, void *scalar, void *point, void *factor, void *context)',
);
const addPoints = native<[Pointer, Pointer, Pointer, Pointer, Pointer], number>(
  'int EC_POINT_add(void *group, void *result, void *a, void *b, void *context)',
);
const affineX = native<[Pointer, Pointer, Pointer, null, Pointer], number>(
  'int EC_POINT_get_affine_coordinates(void *group, void *point, void *x, void *y, void *context)',
);
const newNumber = native<[], Pointer>('void *BN_new()');
const readNumber = native<[Uint8Array, number, Pointer], Pointer>(
  'void *BN_bin2bn(const uint8_t *bytes, int size, void *result)',
);
const isZero = native<[Pointer], number>('int BN_is_zero(void *number)');
const compare = native<[Pointer, Pointer], number>('int BN_cmp(void *a, void *b)');
const inverse = native<[Pointer, Pointer, Pointer, Pointer], Pointer>(
  'void *BN_mod_inverse(void *result, void *number, void *modulus, void *context)',
);
const multiplyModulo = native<[Pointer, Pointer, Pointer, Pointer, Pointer], number>(
  'int BN_mod_mul(void *result, void *a, void *b, void *modulus, void *context)',
);
const modulo = native<[Pointer, Pointer, Pointer, Pointer], number>(
  'int BN_nnmod(void *result, void *number, void *modulus, void *context)',
);
const newContext = native<[], Pointer>('void *BN_CTX_new()');
const clearErrors = native<[], void>('void ERR_clear_error()');

/** OpenSSL's NID_X9_62_prime256v1. */
const P256 = 415;
const SIZE = 32;

/** A table takes 15 ms to make, what it spares over some 700 signatures, and 150 KB. */
const WORTH_A_TABLE = 700;

/** What every computation writes into; this thread does one at a time. Kept as long as the thread. */
interface Scratch {
  readonly group: Pointer;
  readonly order: Pointer;
  readonly context: Pointer;
  readonly numberE: Pointer;
  readonly numberR: Pointer;
  readonly numberS: Pointer;
  readonly numberW: Pointer;
  readonly numberU: Pointer;
  readonly pointG: Pointer;
  readonly pointQ: Pointer;
}

let made: Scratch | undefined;

function scratch(): Scratch {
  if (made !== undefined) return made;
  const group = there(newGroup(P256));
  made = {
    group,
    order: there(orderOf(group)),
    context: there(newContext()),
    numberE: there(newNumber()),
    numberR: there(newNumber()),
    numberS: there(newNumber()),
    numberW: there(newNumber()),
    numberU: there(newNumber()),
    pointG: there(newPoint(group)),
    pointQ: there(newPoint(group)),
  };
  return made;
}

function there(pointer: Pointer): Pointer {
  if (pointer !== null) return pointer;
  clearErrors();
  throw new SysError('sys.unavailable', 'OpenSSL has no table for this key');
}

const unused = new FinalizationRegistry<Pointer>((group) => freeGroup(group));

/** The curve with the key in the generator's place, and its table. */
export class KeyTable {
  readonly #group: Pointer;

  /** @throws {SysError} `sys.unavailable` */
  constructor(publicKey: KeyObject) {
    const { order, context, pointQ } = scratch();
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
    const point = Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
    this.#group = there(newGroup(P256));
    unused.register(this, this.#group);
    const isMade =
      readPoint(this.#group, pointQ, point, point.length, context) === 1 &&
      setGenerator(this.#group, pointQ, order, cofactorOf(scratch().group)) === 1 &&
      precompute(this.#group, context) === 1;
    if (!isMade) there(null);
  }

  /** FIPS 186-5, 6.4.2. False too where OpenSSL could not compute: the caller asks further. */
  confirms(digest: Uint8Array, signature: Uint8Array): boolean {
    const halves = halvesOf(signature);
    if (halves === undefined) return false;
    const { group, order, context, numberE, numberR, numberS, numberW, numberU, pointG, pointQ } = scratch();
    const e = digest.subarray(0, SIZE);
    readNumber(e, e.length, numberE);
    if (!isBelowOrder(halves.r, numberR, order) || !isBelowOrder(halves.s, numberS, order)) return false;
    const isComputed =
      inverse(numberW, numberS, order, context) !== null &&
      multiplyModulo(numberU, numberE, numberW, order, context) === 1 &&
      multiply(group, pointG, numberU, null, null, context) === 1 &&
      multiplyModulo(numberU, numberR, numberW, order, context) === 1 &&
      multiply(this.#group, pointQ, numberU, null, null, context) === 1 &&
      addPoints(group, pointG, pointG, pointQ, context) === 1 &&
      affineX(group, pointG, numberW, null, context) === 1 && // not the point at infinity
      modulo(numberU, numberW, order, context) === 1;
    return isComputed && compare(numberU, numberR) === 0;
  }
}

function isBelowOrder(bytes: Uint8Array, into: Pointer, order: Pointer): boolean {
  readNumber(bytes, bytes.length, into);
  return isZero(into) === 0 && compare(into, order) < 0;
}

/** ECDSA-Sig-Value in DER and nothing else: SEQUENCE of two positive INTEGERs of at most 33 bytes, each the shortest. */
function halvesOf(signature: Uint8Array): { r: Uint8Array; s: Uint8Array } | undefined {
  if (signature[0] !== 0x30 || signature[1] !== signature.length - 2) return undefined;
  const r = integerAt(signature, 2);
  const s = r === undefined ? undefined : integerAt(signature, 4 + r.length);
  return r === undefined || s === undefined || 6 + r.length + s.length !== signature.length ? undefined : { r, s };
}

function integerAt(bytes: Uint8Array, at: number): Uint8Array | undefined {
  const length = bytes[at + 1] ?? 0;
  if (bytes[at] !== 0x02 || length === 0 || length > SIZE + 1 || at + 2 + length > bytes.length) return undefined;
  const [first = 0, second = 0] = bytes.subarray(at + 2);
  const isNegative = first >= 0x80;
  const isPadded = length > 1 && first === 0 && second < 0x80;
  return isNegative || isPadded ? undefined : bytes.subarray(at + 2, at + 2 + length);
}

/**
 * As `ecdsaVerifier`, with the same answers; for a key on P-256 a table is made once it has proved worth it.
 * @param worth signatures after which the table is made
 * @throws {SysError} `sys.unavailable` for other keys
 */
export function ecdsaVerifierOfMany(key: KeyObject, worth = WORTH_A_TABLE): EcdsaVerifier {
  const verifier = ecdsaVerifier(key);
  if (verifier.engine !== 'openssl' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return verifier;
  let asked = 0;
  let table: KeyTable | undefined;
  return {
    engine: verifier.engine,
    verify(digest, signature) {
      asked += 1;
      if (asked === worth + 1) table = tableOf(key);
      return table?.confirms(digest, signature) === true || verifier.verify(digest, signature);
    },
  };
}

function tableOf(key: KeyObject): KeyTable | undefined {
  try {
    return new KeyTable(key);
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}
