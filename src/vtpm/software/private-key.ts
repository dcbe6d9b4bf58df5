/** The crypto library's private key of a loaded object, made when it is first needed. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { padNumber } from '../../tpm/index.ts';
import { eccPoint, rsaNumbers } from './key-generation.ts';
import { refuse } from './refusal.ts';
import type { LoadedObject } from './state.ts';

const JWK_CURVES = { p256: 'P-256', p384: 'P-384', p521: 'P-521' } as const;

/** Keys live as long as the object they belong to. */
const keys = new WeakMap<LoadedObject, KeyObject>();

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

export function isSupportedCurve(curve: string): curve is keyof typeof JWK_CURVES {
  return Object.hasOwn(JWK_CURVES, curve);
}

/** @throws {Refusal} `BINDING` where the private part does not fit the public part, `KEY` where there is none */
export function privateKey(object: LoadedObject): KeyObject {
  const known = keys.get(object);
  if (known !== undefined) return known;
  const key = importKey(object);
  keys.set(object, key);
  return key;
}

function importKey({ publicArea, sensitive }: LoadedObject): KeyObject {
  if (publicArea.type === 'rsa' && sensitive?.sensitiveType === 'rsa') {
    const exponent = publicArea.parameters.exponent || 65537;
    const numbers = rsaNumbers(publicArea.unique, sensitive.sensitive, BigInt(exponent));
    if (numbers === undefined) return refuse('BINDING');
    const fields = Object.entries(numbers).map(([name, value]) => [name, base64url(value)]);
    const e = base64url(
      Buffer.from(
        exponent
          .toString(16)
          .padStart(8, '0')
          .replace(/^(00)+/, ''),
        'hex',
      ),
    );
    return imported({ kty: 'RSA', n: base64url(publicArea.unique), e, ...Object.fromEntries(fields) });
  }
  if (publicArea.type === 'ecc' && sensitive?.sensitiveType === 'ecc') {
    const curve = publicArea.parameters.curveID;
    if (!isSupportedCurve(curve)) return refuse('CURVE');
    const size = { p256: 32, p384: 48, p521: 66 }[curve];
    const [x, y, d] = [publicArea.unique.x, publicArea.unique.y, sensitive.sensitive].map((number) =>
      padNumber(number, size),
    );
    if (x === undefined || y === undefined || d === undefined) return refuse('BINDING');
    return imported({ kty: 'EC', crv: JWK_CURVES[curve], x: base64url(x), y: base64url(y), d: base64url(d) });
  }
  return refuse('KEY');
}

function imported(key: Record<string, string>): KeyObject {
  try {
    return createPrivateKey({ key, format: 'jwk' });
  } catch {
    return refuse('BINDING');
  }
}

/** Whether the private scalar's point is the public point. */
export function isEccPair(curve: keyof typeof JWK_CURVES, d: Uint8Array, x: Uint8Array, y: Uint8Array): boolean {
  try {
    const size = { p256: 32, p384: 48, p521: 66 }[curve];
    const point = eccPoint(curve, padNumber(d, size));
    return point.x.equals(padNumber(x, size)) && point.y.equals(padNumber(y, size));
  } catch {
    return false;
  }
}
