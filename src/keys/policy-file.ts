/**
 * What a key was sealed to, kept beside it as `FILE.policy`: the kernel's blob holds only the policy's digest, from which
 * nobody can tell which PCRs it is about. Nothing in it is secret, and nothing in it is believed: a changed one does not
 * open the key.
 */
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { bytesEqual, fromHex, ParseError, toHex } from '../bytes/index.ts';
import {
  decode,
  encode,
  type Policy,
  type PolicyPcr,
  type PolicyStep,
  policyDigest,
  TPMT_PUBLIC,
} from '../tpm/index.ts';
import { KeyError } from './error.ts';
import { approvedIn, SignedPolicies, signedPoliciesOf } from './signed-policy.ts';
import type { TrustedBlob } from './trusted/blob.ts';

const BANKS = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3'] as const;
const Hex = Type.String({ pattern: '^(?:[0-9a-f]{2})*$', maxLength: 4096 });
const PcrValues = Type.Record(Type.String({ pattern: '^(?:[0-9]|1[0-9]|2[0-3])$' }), Hex, {
  additionalProperties: false,
});
const PcrStep = Type.Object(
  {
    pcr: Type.Partial(
      Type.Object(Object.fromEntries(BANKS.map((bank) => [bank, PcrValues])), { additionalProperties: false }),
    ),
  },
  { additionalProperties: false },
);
const PinStep = Type.Object({ pin: Type.Literal(true) }, { additionalProperties: false });
const AuthorizeStep = Type.Object(
  {
    authorize: Type.Object(
      { key: Hex, policyRef: Hex, signed: Type.Optional(SignedPolicies) },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
);
const Branch = Type.Array(Type.Union([PcrStep, PinStep]), { maxItems: 8 });
const OrStep = Type.Object({ or: Type.Array(Branch, { minItems: 2, maxItems: 8 }) }, { additionalProperties: false });
const PolicyFile = Type.Object(
  {
    assayKeyPolicy: Type.Literal(1),
    policies: Type.Array(Type.Array(Type.Union([PcrStep, PinStep, AuthorizeStep, OrStep]), { maxItems: 8 }), {
      maxItems: 8,
    }),
  },
  { additionalProperties: false },
);
type PolicyFile = Type.Static<typeof PolicyFile>;
type FileStep = PolicyFile['policies'][number][number];
type BranchStep = Type.Static<typeof Branch>[number];

const MAX_POLICY_FILE = 256 * 1024;

/** @throws {KeyError} `key.malformed` */
export function parsePolicyFile(text: string): Policy[] {
  if (text.length > MAX_POLICY_FILE) throw malformed(`it has more than ${MAX_POLICY_FILE} characters`);
  const value = jsonOf(text);
  if (!Value.Check(PolicyFile, value)) {
    // Of a union's alternatives each has its error: the deepest place is the one that is meant.
    const paths = Value.Errors(PolicyFile, value).map(({ instancePath }) => instancePath);
    const [deepest = ''] = paths.toSorted((a, b) => b.length - a.length);
    throw malformed(`${deepest === '' ? 'it' : deepest} is not as it must be`);
  }
  return value.policies.map((policy) => policy.map(stepOf));
}

/** @param policies several while a key is sealed anew: whichever blob is there then, its policy is */
export function encodePolicyFile(policies: readonly Policy[]): string {
  const file = { assayKeyPolicy: 1, policies: policies.map((policy) => policy.map(fileStepOf)) };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

/** The one of these policies that this key was sealed to. */
export function policyOf({ area }: TrustedBlob, policies: readonly Policy[]): Policy | undefined {
  const { nameAlg, authPolicy } = area;
  if (nameAlg === 'null') return undefined;
  return policies.find((policy) => bytesEqual(policyDigest(policy, nameAlg), authPolicy));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('it is not JSON');
  }
}

function stepOf(step: FileStep): PolicyStep {
  if ('pin' in step) return { kind: 'auth-value' };
  if ('or' in step) return { kind: 'or', branches: step.or.map((branch) => branch.map(stepOf)) };
  if ('pcr' in step) return { kind: 'pcr', values: valuesOf(step.pcr) };
  const { key, policyRef, signed = {} } = step.authorize;
  const named = { kind: 'authorize', key: publicAreaOf(key), policyRef: fromHex(policyRef, 'policyRef') } as const;
  return { ...named, approved: approvedIn(signed, named) };
}

function valuesOf(banks: Extract<FileStep, { pcr: unknown }>['pcr']): PolicyPcr[] {
  return BANKS.flatMap((bank) =>
    Object.entries(banks[bank] ?? {}).map(([pcr, value]) => ({
      bank,
      pcr: Number(pcr),
      value: fromHex(value, `PCR ${pcr}`),
    })),
  );
}

function publicAreaOf(hex: string): TPMT_PUBLIC {
  try {
    return decode(TPMT_PUBLIC, fromHex(hex, 'authorize.key'));
  } catch (error) {
    if (error instanceof ParseError) throw malformed(error.message);
    throw error;
  }
}

function fileStepOf(step: PolicyStep): FileStep {
  switch (step.kind) {
    case 'or':
      return { or: step.branches.map((branch) => branch.map(branchStepOf)) };
    case 'authorize':
      return { authorize: authorizeOf(step) };
    default:
      return branchStepOf(step);
  }
}

function authorizeOf({ key, policyRef, approved = [] }: Extract<PolicyStep, { kind: 'authorize' }>) {
  const named = { key: toHex(encode(TPMT_PUBLIC, key)), policyRef: toHex(policyRef) };
  return approved.length === 0 ? named : { ...named, signed: signedPoliciesOf(approved) };
}

/** An alternative holds no further ones. */
function branchStepOf(step: PolicyStep): BranchStep {
  if (step.kind === 'auth-value') return { pin: true };
  if (step.kind !== 'pcr') throw new KeyError('key.option', 'alternatives of a policy are PCRs and PINs');
  const banks = Map.groupBy(step.values, ({ bank }) => bank);
  const ofBank = (values: readonly PolicyPcr[]) =>
    Object.fromEntries(values.map(({ pcr, value }) => [pcr, toHex(value)]));
  return { pcr: Object.fromEntries([...banks].map(([bank, values]) => [bank, ofBank(values)])) };
}

function malformed(what: string): KeyError {
  return new KeyError('key.malformed', `this is no policy of a key: ${what}`);
}
