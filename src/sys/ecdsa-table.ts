/**
 * ECDSA on P-256 for thousands of signatures by one key, as a tree of files has: OpenSSL's own multiplication by a fixed
 * point, of which it has a table for the generator, with such a table for the public key too; and of many signatures at
 * once, one inversion for all of them. A third of the time of EVP_PKEY_verify, which doubles its way through the key's
 * multiple anew for each signature.
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
const fieldOf = native<[Pointer], Pointer>('void *EC_GROUP_get0_field(void *group)');
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
const jacobian = native<[Pointer, Pointer, Pointer, null, Pointer, Pointer], number>(
  'int EC_POINT_get_Jprojective_coordinates_GFp(void *group, void *point, void *x, void *y, void *z, void *context)',
);
const newNumber = native<[], Pointer>('void *BN_new()');
const readNumber = native<[Uint8Array, number, Pointer], Pointer>(
  'void *BN_bin2bn(const uint8_t *bytes, int size, void *result)',
);
const numberOne = native<[], Pointer>('void *BN_value_one()');
const isZero = native<[Pointer], number>('int BN_is_zero(void *number)');
const compare = native<[Pointer, Pointer], number>('int BN_cmp(void *a, void *b)');
const inverse = native<[Pointer, Pointer, Pointer, Pointer], Pointer>(
  'void *BN_mod_inverse(void *result, void *number, void *modulus, void *context)',
);
const multiplyModulo = native<[Pointer, Pointer, Pointer, Pointer, Pointer], number>(
  'int BN_mod_mul(void *result, void *a, void *b, void *modulus, void *context)',
);
const newContext = native<[], Pointer>('void *BN_CTX_new()');
const clearErrors = native<[], void>('void ERR_clear_error()');

/** OpenSSL's NID_X9_62_prime256v1. */
const P256 = 415;
const SIZE = 32;

/** A table takes 15 ms to make, what it spares over some 400 signatures, and 150 KB. */
const WORTH_A_TABLE = 400;

/** What is inverted at once. Beyond this a further signature's share of the inversion is nothing to speak of. */
const MOST_AT_ONCE = 256;

/** What every computation writes into; this thread does one at a time. Kept as long as the thread. */
interface Scratch {
  readonly group: Pointer;
  readonly order: Pointer;
  readonly field: Pointer;
  readonly context: Pointer;
  readonly numberE: Pointer;
  readonly numberR: Pointer;
  readonly numberV: Pointer;
  readonly numberW: Pointer;
  readonly numberX: Pointer;
  readonly numberZ: Pointer;
  readonly slots: readonly Slot[];
  readonly pointG: Pointer;
  readonly pointQ: Pointer;
}

/** A signature's second half, and its product with those of the signatures before. */
interface Slot {
  readonly s: Pointer;
  readonly product: Pointer;
}

let made: Scratch | undefined;

function scratch(): Scratch {
  if (made !== undefined) return made;
  const group = there(newGroup(P256));
  made = {
    group,
    order: there(orderOf(group)),
    field: there(fieldOf(group)),
    context: there(newContext()),
    numberE: there(newNumber()),
    numberR: there(newNumber()),
    numberV: there(newNumber()),
    numberW: there(newNumber()),
    numberX: there(newNumber()),
    numberZ: there(newNumber()),
    slots: Array.from({ length: MOST_AT_ONCE }, () => ({ s: there(newNumber()), product: there(newNumber()) })),
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

export interface SignedDigest {
  readonly digest: Uint8Array;
  /** DER ECDSA-Sig-Value; malformed ones do not verify. */
  readonly signature: Uint8Array;
}

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

  /**
   * Of each signature, whether it is this key's over its digest (FIPS 186-5, 6.4.2). False too where OpenSSL could not
   * compute: the caller asks further.
   */
  confirms(signed: readonly SignedDigest[]): boolean[] {
    const answers = signed.map(() => false);
    for (let from = 0; from < signed.length; from += MOST_AT_ONCE) {
      for (const at of this.#confirmed(signed.slice(from, from + MOST_AT_ONCE))) answers[from + at] = true;
    }
    return answers;
  }

  /**
   * One inversion for all (Montgomery's trick): the product of the second halves is inverted, and from the last to the
   * first each inverse is taken out of it by the product of those before.
   * @param signed at most {@link MOST_AT_ONCE} @returns places in `signed`
   */
  #confirmed(signed: readonly SignedDigest[]): number[] {
    const { order, context, numberV, numberW } = scratch();
    const candidates = candidatesAmong(signed);
    const product = candidates.at(-1)?.slot.product;
    if (product === undefined || inverse(numberW, product, order, context) === null) return [];
    const confirmed: number[] = [];
    for (const [place, { at, digest, r, slot }] of [...candidates.entries()].reverse()) {
      const before = candidates[place - 1]?.slot.product ?? numberOne();
      if (multiplyModulo(numberV, numberW, before, order, context) !== 1) break;
      if (this.#holds(digest, r, numberV)) confirmed.push(at);
      if (multiplyModulo(numberW, numberW, slot.s, order, context) !== 1) break;
    }
    return confirmed;
  }

  /** @param inverseOfS of the signature's second half, modulo the order */
  #holds(digest: Uint8Array, r: Uint8Array, inverseOfS: Pointer): boolean {
    const { group, order, context, numberE, numberR, pointG, pointQ } = scratch();
    const e = digest.subarray(0, SIZE);
    readNumber(e, e.length, numberE);
    readNumber(r, r.length, numberR);
    const isComputed =
      multiplyModulo(numberE, numberE, inverseOfS, order, context) === 1 &&
      multiply(group, pointG, numberE, null, null, context) === 1 &&
      multiplyModulo(numberE, numberR, inverseOfS, order, context) === 1 &&
      multiply(this.#group, pointQ, numberE, null, null, context) === 1 &&
      addPoints(group, pointG, pointG, pointQ, context) === 1;
    return isComputed && isItsX(numberR, pointG);
  }
}

/**
 * True where x = X / Z², without the division; at the point at infinity Z is 0. An x between the order and the field's
 * prime, one in 2^128, would have to be reduced: it is not confirmed.
 */
function isItsX(x: Pointer, point: Pointer): boolean {
  const { group, field, context, numberX, numberZ } = scratch();
  const isComputed =
    jacobian(group, point, numberX, null, numberZ, context) === 1 &&
    isZero(numberZ) === 0 &&
    multiplyModulo(numberZ, numberZ, numberZ, field, context) === 1 &&
    multiplyModulo(numberZ, x, numberZ, field, context) === 1;
  return isComputed && compare(numberX, numberZ) === 0;
}

interface Candidate {
  readonly at: number;
  readonly digest: Uint8Array;
  readonly r: Uint8Array;
  readonly slot: Slot;
}

/** Those of one encoding and in range; with them the slots are filled. */
function candidatesAmong(signed: readonly SignedDigest[]): Candidate[] {
  const { order, context, numberR, slots } = scratch();
  const candidates: Candidate[] = [];
  for (const [at, { digest, signature }] of signed.entries()) {
    const halves = halvesOf(signature);
    const slot = slots[candidates.length];
    if (halves === undefined || slot === undefined) continue;
    if (!isBelowOrder(halves.r, numberR, order) || !isBelowOrder(halves.s, slot.s, order)) continue;
    const before = candidates.at(-1)?.slot.product ?? numberOne();
    if (multiplyModulo(slot.product, before, slot.s, order, context) !== 1) return [];
    candidates.push({ at, digest, r: halves.r, slot });
  }
  return candidates;
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

/** Verifies many signatures by one key, also at once. Belongs to the thread that made it. */
export interface EcdsaVerifierOfMany extends EcdsaVerifier {
  /** True where many at once are cheaper than one by one: this thread has made the key's table. */
  readonly isWorthBatching: boolean;
  /** An answer for each, in their order. */
  verifyAll(signed: readonly SignedDigest[]): boolean[];
}

/**
 * As `ecdsaVerifier`, with the same answers; for a key on P-256 a table is made once it has proved worth it.
 * @param worth signatures after which the table is made
 * @throws {SysError} `sys.unavailable` for other keys
 */
export function ecdsaVerifierOfMany(key: KeyObject, worth = WORTH_A_TABLE): EcdsaVerifierOfMany {
  const verifier = ecdsaVerifier(key);
  const canHaveTable = verifier.engine === 'openssl' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
  let asked = 0;
  let table: KeyTable | undefined;
  const verifyAll = (signed: readonly SignedDigest[]): boolean[] => {
    const confirmed = table?.confirms(signed) ?? [];
    return signed.map(({ digest, signature }, at) => confirmed[at] === true || verifier.verify(digest, signature));
  };
  return {
    engine: verifier.engine,
    get isWorthBatching() {
      return table !== undefined;
    },
    verifyAll,
    verify(digest, signature) {
      asked += 1;
      if (canHaveTable && asked === worth + 1) table = tableOf(key);
      return verifyAll([{ digest, signature }])[0] === true;
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
