/** Verifying signatures over a digest with loaded keys (Part 4, CryptValidateSignature). */
import { constants, createHmac, publicDecrypt } from 'node:crypto';
import { bytesEqual, digestInfo } from '../../bytes/index.ts';
import { ecdsaVerifier } from '../../sys/index.ts';
import { publicKeyOf, type TPMT_SIGNATURE } from '../../tpm/index.ts';
import { Refusal, refuse } from './refusal.ts';
import { emsaPkcs1, isPssEncoding } from './rsa-padding.ts';
import type { LoadedObject } from './state.ts';

/** @throws {Refusal} `SCHEME` where the signature's kind is none that the key makes; `HANDLE` without a private part for HMAC */
export function isGoodSignature(
  key: LoadedObject,
  hashed: Uint8Array,
  signature: TPMT_SIGNATURE,
  field: string,
): boolean {
  const { type } = key.publicArea;
  try {
    if (type === 'rsa' && (signature.sigAlg === 'rsassa' || signature.sigAlg === 'rsapss'))
      return isGoodRsa(key, hashed, signature);
    if (type === 'ecc' && signature.sigAlg === 'ecdsa') return isGoodEcdsa(key, hashed, signature);
    if (type === 'keyedhash' && signature.sigAlg === 'hmac') return isGoodHmac(key, hashed, signature);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    return false; // a number that is out of range for the key
  }
  return refuse('SCHEME', field);
}

function isGoodRsa(
  key: LoadedObject,
  hashed: Uint8Array,
  { sigAlg, hash, sig }: Extract<TPMT_SIGNATURE, { sigAlg: 'rsassa' | 'rsapss' }>,
): boolean {
  if (hashed.length !== digestInfo(hash).size) return false;
  const encoded = publicDecrypt({ key: publicKeyOf(key.publicArea), padding: constants.RSA_NO_PADDING }, sig);
  return sigAlg === 'rsassa'
    ? bytesEqual(encoded, emsaPkcs1(hash, hashed, encoded.length))
    : isPssEncoding(hash, hashed, encoded);
}

function derInteger(value: Uint8Array): Buffer {
  const start = value.findIndex((byte) => byte !== 0);
  const significant = start < 0 ? Buffer.of(0) : Buffer.from(value.subarray(start));
  const padded = (significant[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), significant]) : significant;
  return Buffer.concat([Buffer.of(0x02, padded.length), padded]);
}

function isGoodEcdsa(
  key: LoadedObject,
  hashed: Uint8Array,
  { signatureR, signatureS }: Extract<TPMT_SIGNATURE, { sigAlg: 'ecdsa' }>,
): boolean {
  const body = Buffer.concat([derInteger(signatureR), derInteger(signatureS)]);
  const length = body.length < 0x80 ? Buffer.of(body.length) : Buffer.of(0x81, body.length);
  const der = Buffer.concat([Buffer.of(0x30), length, body]);
  return ecdsaVerifier(publicKeyOf(key.publicArea)).verify(hashed, der);
}

function isGoodHmac(
  { sensitive }: LoadedObject,
  hashed: Uint8Array,
  { hmac }: Extract<TPMT_SIGNATURE, { sigAlg: 'hmac' }>,
): boolean {
  if (sensitive?.sensitiveType !== 'keyedhash') return refuse('HANDLE', 'keyHandle');
  const expected = createHmac(digestInfo(hmac.hashAlg).opensslName, sensitive.sensitive).update(hashed).digest();
  return bytesEqual(expected, hmac.digest);
}
