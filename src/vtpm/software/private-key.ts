/** The crypto library's private key of a loaded object, made when it is first needed. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { TPMT_PUBLIC } from '../../tpm/index.ts';
import { CURVES } from './curves.ts';
import { hasNodeKeys, JWK_CURVES, multiply, toBigInt, toBytes } from './ecc.ts';
import { rsaNumbers } from './key-generation.ts';
import { refuse } from './refusal.ts';
import type { LoadedObject } from './state.ts';

/** Keys live as long as the object they belong to. */
const keys = new WeakMap<LoadedObject, KeyObject>();

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

/**
 * Of an RSA key, or an ECC key on a curve that node:crypto has.
 * @throws {Refusal} `BINDING` where the private part does not fit the public part, `KEY` where there is none
 */
export function privateKey(object: LoadedObject): KeyObject {
  const known = keys.get(object);
  if (known !== undefined) return known;
  const key = importKey(object);
  keys.set(object, key);
  return key;
}

function importKey({ publicArea, sensitive }: LoadedObject): KeyObject {
  if (publicArea.type === 'rsa' && sensitive?.sensitiveType === 'rsa') {
    return imported(rsaJwk(publicArea, sensitive.sensitive));
  }
  if (publicArea.type === 'ecc' && sensitive?.sensitiveType === 'ecc') {
    return imported(eccJwk(publicArea, sensitive.sensitive));
  }
  return refuse('KEY');
}

type Area<T extends TPMT_PUBLIC['type']> = Extract<TPMT_PUBLIC, { type: T }>;

function rsaJwk({ parameters, unique }: Area<'rsa'>, prime: Uint8Array): Record<string, string> {
  const exponent = BigInt(parameters.exponent || 65537);
  const numbers = rsaNumbers(unique, prime, exponent) ?? refuse('BINDING');
  const e = toBytes(exponent, Math.ceil(exponent.toString(16).length / 2));
  const fields = Object.entries(numbers).map(([name, value]) => [name, base64url(value)]);
  return { kty: 'RSA', n: base64url(unique), e: base64url(e), ...Object.fromEntries(fields) };
}

/** The public point is computed: that of an object without a Name need not be the scalar's. */
function eccJwk({ parameters }: Area<'ecc'>, scalar: Uint8Array): Record<string, string> {
  const curve = parameters.curveID;
  if (!hasNodeKeys(curve)) return refuse('CURVE');
  const { x, y } = multiply(curve, scalar) ?? refuse('BINDING');
  const d = toBytes(toBigInt(scalar), CURVES[curve].size);
  return { kty: 'EC', crv: JWK_CURVES[curve], x: base64url(x), y: base64url(y), d: base64url(d) };
}

function imported(key: Record<string, string>): KeyObject {
  try {
    return createPrivateKey({ key, format: 'jwk' });
  } catch {
    return refuse('BINDING');
  }
}
