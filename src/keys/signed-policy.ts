/**
 * PCR policies that somebody has signed, in the JSON form of systemd-measure(1): `{"sha256":[{"pcrs":[11],"pkfp":HEX,
 * "pol":HEX,"sig":BASE64}]}`. A key that is sealed to the signer's public key opens in each state that one of them approves.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { ApprovedPcrPolicy, TPMI_ALG_HASH, TPMT_PUBLIC, TPMT_SIGNATURE } from '../tpm/index.ts';
import { uniqueOf } from '../tpm/index.ts';
import { KeyError } from './error.ts';

const BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const satisfies readonly TPMI_ALG_HASH[];
const Entry = Type.Object({
  pcrs: Type.Array(Type.Integer({ minimum: 0, maximum: 23 }), { minItems: 1, maxItems: 24 }),
  pol: Type.String({ pattern: '^(?:[0-9a-fA-F]{2}){20,64}$' }),
  sig: Type.String({ pattern: '^[A-Za-z0-9+/]+={0,2}$', maxLength: 4096 }),
});
const SignedPolicies = Type.Partial(
  Type.Object(Object.fromEntries(BANKS.map((bank) => [bank, Type.Array(Entry, { maxItems: 1024 })]))),
);
const MAX_FILE = 4 * 1024 * 1024;

/**
 * @param key whose signatures they are: its type says how they are made (RSA: PKCS#1 v1.5 with SHA-256, as systemd's)
 * @throws {KeyError} `key.malformed`
 */
export function parseSignedPolicies(text: string, key: TPMT_PUBLIC): ApprovedPcrPolicy[] {
  const value = text.length > MAX_FILE ? undefined : jsonOf(text);
  if (!Value.Check(SignedPolicies, value)) {
    throw new KeyError('key.malformed', 'this holds no signed policies', {
      advice: 'they have the JSON form of systemd-measure: {"sha256":[{"pcrs":[…],"pol":…,"sig":…}]}',
    });
  }
  return BANKS.flatMap((hash) =>
    (value[hash] ?? []).map(({ pcrs, pol, sig }) => ({
      selection: [{ hash, pcrs: [...new Set(pcrs)].sort((a, b) => a - b) }],
      digest: Buffer.from(pol, 'hex'),
      signature: signatureOf(key, Buffer.from(sig, 'base64')),
    })),
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function signatureOf(key: TPMT_PUBLIC, bytes: Buffer): TPMT_SIGNATURE {
  if (key.type === 'rsa') return { sigAlg: 'rsassa', hash: 'sha256', sig: bytes };
  throw new KeyError('key.option', 'signed policies are signed with an RSA key');
}

/**
 * The public area that a TPM loads an outside signing key with; its Name goes into the policy. As systemd and
 * tpm2_loadexternal have it: user-with-auth, sign and decrypt, no scheme.
 * @param pem or DER of an RSA public key
 * @throws {KeyError} `key.malformed`, `key.option`
 */
export function policyKeyArea(pem: Uint8Array): TPMT_PUBLIC {
  const unique = uniqueOf(publicKeyOf(pem));
  if (unique.type !== 'rsa') throw new KeyError('key.option', 'policies are signed with an RSA key');
  return {
    type: 'rsa',
    nameAlg: 'sha256',
    objectAttributes: { userWithAuth: true, sign: true, decrypt: true },
    authPolicy: new Uint8Array(0),
    parameters: {
      symmetric: { algorithm: 'null' },
      scheme: { scheme: 'null' },
      keyBits: unique.keyBits,
      exponent: 0,
    },
    unique: unique.unique,
  };
}

function publicKeyOf(pem: Uint8Array): KeyObject {
  try {
    return createPublicKey(Buffer.from(pem));
  } catch (cause) {
    throw new KeyError('key.malformed', 'this is no public key in PEM', { cause });
  }
}
