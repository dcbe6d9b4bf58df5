/**
 * PCR policies that somebody has signed, in the JSON form of systemd-measure(1): `{"sha256":[{"pcrs":[11],"pkfp":HEX,
 * "pol":HEX,"sig":BASE64}]}`. A key that is sealed to the signer's public key opens in each state that one of them approves.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { toHex } from '../bytes/index.ts';
import {
  type ApprovedPcrPolicy,
  type Policy,
  publicKeyOf,
  type TPMI_ALG_HASH,
  type TPMT_PUBLIC,
  uniqueOf,
} from '../tpm/index.ts';
import { KeyError } from './error.ts';

const BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const satisfies readonly TPMI_ALG_HASH[];
const Entry = Type.Object({
  pcrs: Type.Array(Type.Integer({ minimum: 0, maximum: 23 }), { minItems: 1, maxItems: 24 }),
  pol: Type.String({ pattern: '^(?:[0-9a-fA-F]{2}){20,64}$' }),
  sig: Type.String({ pattern: '^[A-Za-z0-9+/]+={0,2}$', maxLength: 4096 }),
});
export const SignedPolicies = Type.Partial(
  Type.Object(Object.fromEntries(BANKS.map((bank) => [bank, Type.Array(Entry, { maxItems: 1024 })]))),
);
export type SignedPolicies = Type.Static<typeof SignedPolicies>;
const MAX_FILE = 4 * 1024 * 1024;

/** Whose signatures they are, and over what beside the policy. */
type Signer = Pick<AuthorizeStep, 'key' | 'policyRef'>;

/**
 * The policies in it that this signer has signed; those of other keys, which such a file may hold too, are left out.
 * @throws {KeyError} `key.malformed`; `key.policy` where the key has signed none of them
 */
export function parseSignedPolicies(text: string, signer: Signer): ApprovedPcrPolicy[] {
  const value = text.length > MAX_FILE ? undefined : jsonOf(text);
  if (!Value.Check(SignedPolicies, value)) {
    throw new KeyError('key.malformed', 'this holds no signed policies', {
      advice: 'they have the JSON form of systemd-measure: {"sha256":[{"pcrs":[…],"pol":…,"sig":…}]}',
    });
  }
  const approved = approvedIn(value, signer);
  if (approved.length > 0) return approved;
  throw new KeyError('key.policy', 'it holds no policy that the key’s owner has signed', {
    advice: 'sign with the private key of --authorize: assay boot predict … --format signed --private-key PEM',
  });
}

/** As {@link parseSignedPolicies}, of what was parsed already; none is an answer. */
export function approvedIn(value: SignedPolicies, { key, policyRef }: Signer): ApprovedPcrPolicy[] {
  const verifier = publicKeyOf(key);
  return BANKS.flatMap((hash) =>
    (value[hash] ?? []).flatMap(({ pcrs, pol, sig }) => {
      const [policy, bytes] = [Buffer.from(pol, 'hex'), Buffer.from(sig, 'base64')];
      if (!verify(SIGNED_WITH, Buffer.concat([policy, policyRef]), verifier, bytes)) return [];
      return {
        selection: [{ hash, pcrs: [...new Set(pcrs)].sort((a, b) => a - b) }],
        digest: policy,
        signature: { sigAlg: 'rsassa', hash: SIGNED_WITH, sig: bytes } as const,
      };
    }),
  );
}

/** RSA PKCS#1 v1.5 with SHA-256, as systemd-measure signs. */
const SIGNED_WITH = 'sha256';

/** Back into the form of the file, without `pkfp`: whose they are stands beside them. */
export function signedPoliciesOf(approved: readonly ApprovedPcrPolicy[]): SignedPolicies {
  const entries = approved.flatMap(({ selection, digest, signature }) => {
    const [only] = selection;
    if (only === undefined || signature.sigAlg !== 'rsassa') return [];
    const entry = { pcrs: [...only.pcrs], pol: toHex(digest), sig: Buffer.from(signature.sig).toString('base64') };
    return [{ bank: only.hash, entry }];
  });
  const banks = Map.groupBy(entries, ({ bank }) => bank);
  return Object.fromEntries([...banks].map(([bank, ofBank]) => [bank, ofBank.map(({ entry }) => entry)]));
}

type AuthorizeStep = Extract<Policy[number], { kind: 'authorize' }>;

/** The step with further signed policies before those that it has. */
export function withApproved(step: AuthorizeStep, approved: readonly ApprovedPcrPolicy[]): AuthorizeStep {
  const isNew = new Set(approved.map(({ digest }) => toHex(digest)));
  const before = (step.approved ?? []).filter(({ digest }) => !isNew.has(toHex(digest)));
  return { ...step, approved: [...approved, ...before] };
}

/** What is kept with a key: a TPM, which takes its time, tries them one by one at boot. */
const MAX_KEPT = 32;

/**
 * As {@link withApproved}, to be kept: beyond 32 the oldest are left out.
 * @throws {KeyError} `key.option` for more than that at once
 */
export function keepApproved(step: AuthorizeStep, approved: readonly ApprovedPcrPolicy[]): AuthorizeStep {
  if (approved.length > MAX_KEPT) {
    throw new KeyError('key.option', `${approved.length} signed policies are too many: a key keeps ${MAX_KEPT}`, {
      advice: 'sign those of one bank, and of the boots to come',
    });
  }
  const all = withApproved(step, approved);
  return { ...all, approved: all.approved?.slice(0, MAX_KEPT) ?? [] };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * The public area that a TPM loads an outside signing key with; its Name goes into the policy. As systemd and
 * tpm2_loadexternal have it: user-with-auth, sign and decrypt, no scheme.
 * @param pem or DER of an RSA public key
 * @throws {KeyError} `key.malformed`, `key.option`
 */
export function policyKeyArea(pem: Uint8Array): TPMT_PUBLIC {
  const key = keyIn(pem);
  const unique = uniqueOf(key);
  if (unique.type !== 'rsa' || key.asymmetricKeyDetails?.publicExponent !== 65537n)
    throw new KeyError('key.option', 'policies are signed with an RSA key whose exponent is 65537');
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

function keyIn(pem: Uint8Array): KeyObject {
  try {
    return createPublicKey(Buffer.from(pem));
  } catch (cause) {
    throw new KeyError('key.malformed', 'this is no public key in PEM', { cause });
  }
}
