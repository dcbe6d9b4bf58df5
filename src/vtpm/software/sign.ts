/** Signatures by loaded keys (Part 1, B.5–B.7 and C.4; Part 4, CryptUtil.c). */
import { constants, createHmac, type KeyObject, privateDecrypt, sign as signMessage } from 'node:crypto';
import { createRequire } from 'node:module';
import type * as Nist from '@noble/curves/nist.js';
import { digestInfo } from '../../bytes/index.ts';
import { padNumber, type TPMT_SIG_SCHEME, type TPMT_SIGNATURE } from '../../tpm/index.ts';
import { isSupportedCurve, privateKey } from './private-key.ts';
import { refuse } from './refusal.ts';
import { emsaPkcs1, emsaPss } from './rsa-padding.ts';
import type { LoadedObject } from './state.ts';

/** A scheme that this TPM signs with. */
export type SigningScheme = Extract<TPMT_SIG_SCHEME, { scheme: 'rsassa' | 'rsapss' | 'ecdsa' | 'hmac' }>;

type SchemeName = TPMT_SIG_SCHEME['scheme'];
const SCHEMES_OF: Readonly<Record<string, readonly SchemeName[]>> = {
  rsa: ['rsassa', 'rsapss'],
  ecc: ['ecdsa'],
  keyedhash: ['hmac'],
};

function isSigning(scheme: TPMT_SIG_SCHEME): scheme is SigningScheme {
  return ['rsassa', 'rsapss', 'ecdsa', 'hmac'].includes(scheme.scheme);
}

/** The key's own scheme; undefined for a key without one. */
function ownScheme({ publicArea }: LoadedObject): SigningScheme | undefined {
  if (publicArea.type === 'symcipher') return undefined;
  const { scheme } = publicArea.parameters;
  if (scheme.scheme === 'rsassa' || scheme.scheme === 'rsapss' || scheme.scheme === 'ecdsa') return scheme;
  return scheme.scheme === 'hmac' ? scheme : undefined;
}

/**
 * The scheme to sign with: the key's own, else the caller's (Part 4, CryptSelectSignScheme).
 * @throws {Refusal} `SCHEME` where the two differ or neither is one that fits the key
 */
export function selectScheme(key: LoadedObject, asked: TPMT_SIG_SCHEME, field: string): SigningScheme {
  const own = ownScheme(key);
  if (own !== undefined) {
    const isSame = asked.scheme === own.scheme && 'hashAlg' in asked && asked.hashAlg === own.hashAlg;
    return asked.scheme === 'null' || isSame ? own : refuse('SCHEME', field);
  }
  const fits = SCHEMES_OF[key.publicArea.type]?.includes(asked.scheme) === true;
  return fits && isSigning(asked) ? asked : refuse('SCHEME', field);
}

/** Signs a message. */
export function signData(key: LoadedObject, scheme: SigningScheme, message: Uint8Array): TPMT_SIGNATURE {
  const { hashAlg } = scheme;
  const { opensslName } = digestInfo(hashAlg);
  if (scheme.scheme === 'hmac') return hmacSignature(key, hashAlg, message);
  const privateHalf = privateKey(key);
  if (scheme.scheme === 'ecdsa') {
    const signature = signMessage(opensslName, message, { key: privateHalf, dsaEncoding: 'ieee-p1363' });
    return ecdsaSignature(hashAlg, signature);
  }
  const padding = scheme.scheme === 'rsapss' ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING;
  const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
  const sig = signMessage(opensslName, message, { key: privateHalf, padding, saltLength });
  return { sigAlg: scheme.scheme, hash: hashAlg, sig };
}

function hmacSignature(
  { sensitive }: LoadedObject,
  hashAlg: SigningScheme['hashAlg'],
  message: Uint8Array,
): TPMT_SIGNATURE {
  if (sensitive?.sensitiveType !== 'keyedhash') return refuse('KEY');
  const { opensslName } = digestInfo(hashAlg);
  const hmac = createHmac(opensslName, sensitive.sensitive).update(message).digest();
  return { sigAlg: 'hmac', hmac: { hashAlg, digest: hmac } };
}

function ecdsaSignature(hash: SigningScheme['hashAlg'], signature: Uint8Array): TPMT_SIGNATURE {
  const half = signature.length / 2;
  return { sigAlg: 'ecdsa', hash, signatureR: signature.subarray(0, half), signatureS: signature.subarray(half) };
}

/** Signs a digest that is given, whose length is the scheme's hash's. */
export function signDigest(
  key: LoadedObject,
  scheme: SigningScheme,
  hashed: Uint8Array,
  random: (size: number) => Uint8Array,
): TPMT_SIGNATURE {
  const { hashAlg } = scheme;
  if (scheme.scheme === 'hmac') return hmacSignature(key, hashAlg, hashed);
  if (scheme.scheme === 'ecdsa') return ecdsaSignature(hashAlg, ecdsaOverDigest(key, hashed));
  const { publicArea } = key;
  if (publicArea.type !== 'rsa') return refuse('KEY');
  const encoded =
    scheme.scheme === 'rsassa'
      ? emsaPkcs1(hashAlg, hashed, publicArea.unique.length)
      : emsaPss(hashAlg, hashed, publicArea.unique.length, random(hashed.length));
  return { sigAlg: scheme.scheme, hash: hashAlg, sig: rawRsa(privateKey(key), encoded) };
}

/** m^d mod n: "decryption" without padding is the private operation. */
export function rawRsa(key: KeyObject, message: Uint8Array): Buffer {
  return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, message);
}

/** node:crypto hashes what it is given once more; so JavaScript signs here. */
function ecdsaOverDigest({ publicArea, sensitive }: LoadedObject, hashed: Uint8Array): Uint8Array {
  if (publicArea.type !== 'ecc' || sensitive?.sensitiveType !== 'ecc') return refuse('KEY');
  const curve = publicArea.parameters.curveID;
  if (!isSupportedCurve(curve)) return refuse('CURVE');
  const nist: typeof Nist = createRequire(import.meta.url)('@noble/curves/nist.js');
  const ecdsa = nist[curve];
  const d = padNumber(sensitive.sensitive, { p256: 32, p384: 48, p521: 66 }[curve]);
  return ecdsa.sign(hashed, d, { prehash: false, lowS: false });
}
