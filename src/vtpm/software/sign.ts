/** Signatures by loaded keys over a digest (Part 1, B.5 to B.7 and C.4; Part 4, CryptUtil.c: CryptSign). */
import { createHmac } from 'node:crypto';
import { ByteReader, digestInfo } from '../../bytes/index.ts';
import { type EcdsaSigner, ecdsaSigner } from '../../sys/index.ts';
import type { TPMT_PUBLIC, TPMT_SIG_SCHEME, TPMT_SIGNATURE } from '../../tpm/index.ts';
import { CURVES } from './curves.ts';
import { hasNodeKeys, toBigInt, toBytes } from './ecc.ts';
import { type Halves, signEcdaa, signEcdsa, signSchnorr, signSm2 } from './ecc-signatures.ts';
import { committedScalar, endCommit } from './ephemeral.ts';
import type { Machine } from './machine.ts';
import { privateKey } from './private-key.ts';
import { refuse } from './refusal.ts';
import { rsaPrivate } from './rsa.ts';
import { emsaPkcs1, emsaPss } from './rsa-padding.ts';
import type { LoadedObject } from './state.ts';

/** One that is chosen. */
export type SigningScheme = Exclude<TPMT_SIG_SCHEME, { scheme: 'null' }>;

/** Part 4, IsSigningObject. */
export function isSigningKey({ publicArea }: LoadedObject): boolean {
  return publicArea.objectAttributes.sign === true && publicArea.type !== 'symcipher';
}

/** The key's own scheme; undefined for a key that leaves it open. */
function ownScheme({ publicArea }: LoadedObject): SigningScheme | undefined {
  if (publicArea.type === 'symcipher') return undefined;
  const { scheme } = publicArea.parameters;
  switch (scheme.scheme) {
    case 'rsassa':
    case 'rsapss':
    case 'ecdsa':
    case 'ecdaa':
    case 'ecschnorr':
    case 'sm2':
    case 'hmac':
      return scheme;
    default:
      return undefined;
  }
}

/** Of ECDAA the caller has to say which commitment is used. */
function isSplit({ scheme }: SigningScheme): boolean {
  return scheme === 'ecdaa';
}

/**
 * The scheme to sign with: the key's own, or the caller's where the key leaves it open (Part 4, CryptSelectSignScheme).
 * Whether the key can sign so, shows when it does.
 *
 * @throws {Refusal} `SCHEME` where there is none, or the two differ
 */
export function selectScheme(key: LoadedObject, asked: TPMT_SIG_SCHEME, field: string): SigningScheme {
  if (key.publicArea.type === 'symcipher') return refuse('SCHEME', field);
  const own = ownScheme(key);
  if (asked.scheme === 'null') return own === undefined || isSplit(own) ? refuse('SCHEME', field) : own;
  const isOwn = own === undefined || (own.scheme === asked.scheme && own.hashAlg === asked.hashAlg);
  return isOwn ? asked : refuse('SCHEME', field);
}

/** @throws {Refusal} `SCHEME` for a scheme that the key's type does not have; `VALUE` for a commitment that is not open */
export function signDigest(
  machine: Machine,
  key: LoadedObject,
  scheme: SigningScheme,
  hashed: Uint8Array,
): TPMT_SIGNATURE {
  const { publicArea } = key;
  if (publicArea.type === 'rsa' && (scheme.scheme === 'rsassa' || scheme.scheme === 'rsapss')) {
    const encoded = encodeForRsa(scheme, hashed, publicArea.unique.length, machine.random);
    return { sigAlg: scheme.scheme, hash: scheme.hashAlg, sig: rsaPrivate(key, encoded) };
  }
  if (publicArea.type === 'keyedhash' && scheme.scheme === 'hmac') return hmacSignature(key, scheme.hashAlg, hashed);
  if (publicArea.type !== 'ecc') return refuse('SCHEME');
  switch (scheme.scheme) {
    case 'ecdsa':
    case 'ecdaa':
    case 'ecschnorr':
    case 'sm2':
      return { sigAlg: scheme.scheme, hash: scheme.hashAlg, ...eccHalves(machine, key, publicArea, scheme, hashed) };
    default:
      return refuse('SCHEME');
  }
}

type RsaScheme = Extract<SigningScheme, { scheme: 'rsassa' | 'rsapss' }>;
type EccScheme = Extract<SigningScheme, { scheme: 'ecdsa' | 'ecdaa' | 'ecschnorr' | 'sm2' }>;

/** The salt is as long as the digest, or as the modulus lets it be (Part 1, B.7). */
function encodeForRsa(
  { scheme, hashAlg }: RsaScheme,
  hashed: Uint8Array,
  size: number,
  random: Machine['random'],
): Uint8Array {
  if (hashed.length !== digestInfo(hashAlg).size) refuse('VALUE');
  if (scheme === 'rsassa') return emsaPkcs1(hashAlg, hashed, size);
  const saltSize = Math.max(0, Math.min(hashed.length, size - hashed.length - 2));
  return emsaPss(hashAlg, hashed, size, random(saltSize));
}

/** The key is HMAC's, the data a digest. */
function hmacSignature(
  { sensitive }: LoadedObject,
  hashAlg: SigningScheme['hashAlg'],
  hashed: Uint8Array,
): TPMT_SIGNATURE {
  if (sensitive === undefined) return refuse('KEY');
  const { opensslName } = digestInfo(hashAlg);
  return {
    sigAlg: 'hmac',
    hmac: { hashAlg, digest: createHmac(opensslName, sensitive.sensitive).update(hashed).digest() },
  };
}

function eccHalves(
  machine: Machine,
  key: LoadedObject,
  { parameters }: Extract<TPMT_PUBLIC, { type: 'ecc' }>,
  scheme: EccScheme,
  hashed: Uint8Array,
): Halves {
  const { curveID } = parameters;
  if (key.sensitive === undefined) return refuse('KEY');
  if (scheme.scheme === 'ecdsa' && hasNodeKeys(curveID)) return opensslEcdsa(key, CURVES[curveID].size, hashed);
  const d = toBigInt(key.sensitive.sensitive);
  const { random } = machine;
  switch (scheme.scheme) {
    case 'ecdsa':
      return signEcdsa(curveID, d, hashed, random);
    case 'ecschnorr':
      return signSchnorr(curveID, d, scheme.hashAlg, hashed, random);
    case 'sm2':
      return signSm2(curveID, d, hashed, random);
    case 'ecdaa': {
      const r = committedScalar(machine, curveID, key.name, scheme.count) ?? refuse('VALUE');
      const made = signEcdaa(curveID, d, scheme.hashAlg, hashed, r, random);
      endCommit(machine, scheme.count);
      return made;
    }
  }
}

/** Signers live as long as the object they belong to. */
const signers = new WeakMap<LoadedObject, EcdsaSigner>();

function opensslEcdsa(key: LoadedObject, size: number, hashed: Uint8Array): Halves {
  const known = signers.get(key) ?? ecdsaSigner(privateKey(key));
  signers.set(key, known);
  const sequence = new ByteReader(known.sign(hashed));
  sequence.u8('SEQUENCE');
  if (sequence.u8('length') === 0x81) sequence.u8('length');
  const integer = (): Uint8Array => {
    sequence.u8('INTEGER');
    return toBytes(toBigInt(sequence.bytes(sequence.u8('length'), 'number')), size);
  };
  return { signatureR: integer(), signatureS: integer() };
}
