/** Verifying signatures over a digest with loaded keys (Part 4, CryptUtil.c: CryptValidateSignature). */
import { createHmac } from 'node:crypto';
import { bytesEqual, digestInfo } from '../../bytes/index.ts';
import type { TPMT_PUBLIC, TPMT_SIGNATURE_PRESENT } from '../../tpm/index.ts';
import { CURVES } from './curves.ts';
import { isOnCurve, toBigInt } from './ecc.ts';
import { isGoodEcdsa, isGoodSchnorr, isGoodSm2 } from './ecc-signatures.ts';
import { Refusal, refuse } from './refusal.ts';
import { rsaPublic } from './rsa.ts';
import { emsaPkcs1, isPssEncoding } from './rsa-padding.ts';
import type { LoadedObject } from './state.ts';

type Signature<A extends TPMT_SIGNATURE_PRESENT['sigAlg']> = Extract<TPMT_SIGNATURE_PRESENT, { sigAlg: A }>;
type Area<T extends TPMT_PUBLIC['type']> = Extract<TPMT_PUBLIC, { type: T }>;

/**
 * @throws {Refusal} `SCHEME` for a kind of signature that the key does not make, `SIGNATURE` for one that it did not make
 *   of this digest, `HANDLE` where an HMAC key has no private part
 */
export function checkSignature(
  key: LoadedObject,
  hashed: Uint8Array,
  signature: TPMT_SIGNATURE_PRESENT,
  field: string,
): void {
  if (!isGood(key, hashed, signature, field)) refuse('SIGNATURE', field);
}

function isGood(key: LoadedObject, hashed: Uint8Array, signature: TPMT_SIGNATURE_PRESENT, field: string): boolean {
  const { publicArea } = key;
  const { sigAlg } = signature;
  if (publicArea.type === 'rsa' && (sigAlg === 'rsassa' || sigAlg === 'rsapss')) {
    return isGoodRsa(publicArea, hashed, signature);
  }
  if (publicArea.type === 'ecc' && (sigAlg === 'ecdsa' || sigAlg === 'ecschnorr' || sigAlg === 'sm2')) {
    return isGoodEcc(publicArea, hashed, signature);
  }
  if (publicArea.type !== 'keyedhash') return refuse('SCHEME', field);
  if (key.sensitive === undefined) return refuse('HANDLE', field);
  return sigAlg === 'hmac'
    ? isGoodHmac(publicArea, key.sensitive.sensitive, hashed, signature)
    : refuse('SCHEME', field);
}

function isGoodRsa(
  area: Area<'rsa'>,
  hashed: Uint8Array,
  { sigAlg, hash, sig }: Signature<'rsassa' | 'rsapss'>,
): boolean {
  if (sig.length !== area.unique.length || hashed.length !== digestInfo(hash).size) return false;
  try {
    const encoded = rsaPublic(area, sig);
    return sigAlg === 'rsassa'
      ? bytesEqual(encoded, emsaPkcs1(hash, hashed, encoded.length))
      : isPssEncoding(hash, hashed, encoded);
  } catch (error) {
    if (error instanceof Refusal) return false; // no number of this key
    throw error;
  }
}

function isGoodEcc(
  { parameters, unique }: Area<'ecc'>,
  hashed: Uint8Array,
  signature: Signature<'ecdsa' | 'ecschnorr' | 'sm2'>,
): boolean {
  const { curveID } = parameters;
  const { n } = CURVES[curveID];
  const [r, s] = [toBigInt(signature.signatureR), toBigInt(signature.signatureS)];
  if (r === 0n || s === 0n || r >= n || s >= n || !isOnCurve(curveID, unique)) return false;
  switch (signature.sigAlg) {
    case 'ecdsa':
      return isGoodEcdsa(curveID, unique, hashed, r, s);
    case 'ecschnorr':
      return isGoodSchnorr(curveID, unique, signature.hash, hashed, r, s);
    case 'sm2':
      return isGoodSm2(curveID, unique, hashed, r, s);
  }
}

function isGoodHmac(
  { parameters }: Area<'keyedhash'>,
  key: Uint8Array,
  hashed: Uint8Array,
  { hmac }: Signature<'hmac'>,
): boolean {
  const { scheme } = parameters;
  const fits = scheme.scheme === 'null' || (scheme.scheme === 'hmac' && scheme.hashAlg === hmac.hashAlg);
  if (!fits) return false;
  const expected = createHmac(digestInfo(hmac.hashAlg).opensslName, key).update(hashed).digest();
  return bytesEqual(expected, hmac.digest);
}
