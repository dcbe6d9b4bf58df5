/** Trusted keys with each option that acts on a TPM 2.0, in the kernel's words and in ours. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { parseTrustedOptions, type SealRequest, type TrustedBlob, type UnsealRequest } from '../../src/keys/index.ts';
import * as t from '../../src/tpm/index.ts';
import { inPolicySession, SESSION } from './policy-session.ts';
import type { Step } from './script.ts';

type Form = TrustedBlob['form'];

export const PARENT = 0x81000001;
/** A storage key that asks for KEY_AUTH. */
export const GUARDED_PARENT = 0x81000002;
export const KEY_AUTH = randomBytes(20);
/** Nothing extends them before a test does: the debug PCR, and the application's. */
export const LOCKED = 16;
export const EXTENDED = 23;

export interface TrustedCase {
  readonly name: string;
  /** 32 unless told. */
  readonly bytes?: number;
  /** The kernel's options at sealing, without the policy's digest. */
  readonly words: readonly string[];
  readonly policy?: t.Policy;
  /**
   * The kernel's `new` cannot make it: it holds not only the blob to MAX_BLOB_SIZE (512) but all parameters of the TPM's
   * answer, creation data and ticket among them (tpm2_seal_trusted: blob_len). Measured with swtpm: 511 bytes pass, 526 do not.
   */
  readonly isTooLongForNew?: true;
}

const unextended = (bank: 'sha256' | 'sha384', pcr: number): t.PolicyStep => {
  const value = Buffer.alloc(bank === 'sha256' ? 32 : 48);
  return { kind: 'pcr', values: [{ bank, pcr, value }] };
};

const handle = 'keyhandle=81000001';

export const TRUSTED_CASES: readonly TrustedCase[] = [
  { name: 'plain', words: [handle] },
  { name: 'largest', bytes: 128, words: [handle], isTooLongForNew: true },
  { name: 'keyauth', words: ['keyhandle=0x81000002', `keyauth=${KEY_AUTH.toString('hex')}`] },
  // A TPM takes zeros at the end off.
  { name: 'blobauth-hex', words: [handle, `blobauth=${'5a'.repeat(18)}0000`] },
  { name: 'blobauth-password', words: [handle, 'blobauth=twenty-letters-long!'] },
  { name: 'sha1', bytes: 128, words: [handle, 'hash=sha1'] },
  { name: 'sha256', bytes: 64, words: [handle, 'hash=sha256'] },
  { name: 'sha384', words: [handle, 'hash=sha384'] },
  { name: 'sha512', words: [handle, 'hash=sha512'], isTooLongForNew: true },
  { name: 'fixed', words: [handle, 'migratable=0'] },
  { name: 'migratable', words: [handle, 'migratable=1'] },
  { name: 'policy', words: [handle], policy: [unextended('sha256', LOCKED)] },
  { name: 'policy-extended', words: [handle], policy: [unextended('sha256', EXTENDED)] },
  {
    name: 'policy-sha384',
    words: [handle, 'hash=sha384'],
    policy: [unextended('sha384', LOCKED), unextended('sha256', EXTENDED)],
    isTooLongForNew: true,
  },
  {
    name: 'policy-pin',
    words: [handle, 'blobauth=1234'],
    policy: [unextended('sha256', LOCKED), { kind: 'auth-value' }],
  },
  {
    name: 'everything',
    bytes: 64,
    words: [
      ...['keyhandle=81000002', 'hash=sha256', 'migratable=1', 'blobauth=4321'],
      `keyauth=${KEY_AUTH.toString('hex')}`,
    ],
    policy: [unextended('sha256', LOCKED), { kind: 'auth-value' }],
  },
];

export const isSecret = (word: string): boolean => /^(?:key|blob)auth=/.test(word);
export const hashOf = ({ words }: TrustedCase) => parseTrustedOptions(words).hash ?? 'sha256';

/** All that the kernel is told at sealing. */
export function sealingWords({ policy, ...one }: TrustedCase): string[] {
  if (policy === undefined) return [...one.words];
  return [...one.words, `policydigest=${t.policyDigest(policy, hashOf(one)).toString('hex')}`];
}

/** What the kernel must be told to open it, in {@link inSessionOf} the case. */
export function openingWords({ words, policy }: TrustedCase, form: Form): string[] {
  const parent = form === 'legacy' ? words.filter((word) => word.startsWith('keyhandle=')) : [];
  return [...parent, ...words.filter(isSecret), ...(policy === undefined ? [] : ['policyhandle=$session'])];
}

export function sealRequest({ words, policy }: TrustedCase): Omit<SealRequest, 'payload'> {
  const { keyhandle: parent = 0, keyauth, blobauth, hash, migratable } = parseTrustedOptions(words);
  return {
    parent,
    ...(keyauth === undefined ? {} : { keyAuth: keyauth }),
    ...(blobauth === undefined ? {} : { blobAuth: blobauth }),
    ...(hash === undefined ? {} : { hash }),
    ...(migratable === undefined ? {} : { migratable }),
    ...(policy === undefined ? {} : { policy }),
  };
}

export function unsealRequest(one: TrustedCase): UnsealRequest {
  const { parent, keyAuth, blobAuth, policy } = sealRequest(one);
  return {
    parent,
    ...(keyAuth === undefined ? {} : { keyAuth }),
    ...(blobAuth === undefined ? {} : { blobAuth }),
    ...(policy === undefined ? {} : { policy }),
  };
}

/** The policy in the kernel's session, which sends the authorization value as it is: a password, whose digest is a PIN's. */
export function policyCommands(policy: t.Policy): Uint8Array[] {
  return policy.map((step) => {
    if (step.kind === 'auth-value') return t.marshalCommand(t.TPM2_PolicyPassword, { policySession: SESSION });
    assert.equal(step.kind, 'pcr');
    const pcrs = t.pcrSelectionOf(step.values);
    // Without a digest: the PCRs as they are now.
    return t.marshalCommand(t.TPM2_PolicyPCR, { policySession: SESSION, pcrDigest: new Uint8Array(0), pcrs });
  });
}

export const inSessionOf = ({ name, policy }: TrustedCase, step: Step): Step =>
  policy === undefined ? step : inPolicySession(name, policy.length, [step]);
