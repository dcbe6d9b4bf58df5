/**
 * Policies of objects as data (TPM 2.0 Part 1, 19.7): what must hold before the object may be used. From one description
 * come the digest that goes into the object, and the commands that satisfy it in a session.
 */
import { type DigestAlgorithm, digest, digestInfo } from '../../bytes/index.ts';
import { encode } from '../codec.ts';
import { TPM2_PolicyAuthorize, TPM2_PolicyAuthValue, TPM2_PolicyOR, TPM2_PolicyPCR } from '../commands.ts';
import { TpmError } from '../errors.ts';
import { objectName } from '../names.ts';
import {
  type TPMI_ALG_HASH,
  TPML_PCR_SELECTION,
  type TPMT_PUBLIC,
  type TPMT_SIGNATURE_PRESENT,
} from '../structures.ts';

/** Steps, all of which must hold, in their order. */
export type Policy = readonly PolicyStep[];

export type PolicyStep =
  /** These PCRs have these values. */
  | { readonly kind: 'pcr'; readonly values: readonly PolicyPcr[] }
  /** One of two to eight policies holds. It stands first: what stood before would be forgotten. */
  | { readonly kind: 'or'; readonly branches: readonly Policy[] }
  /**
   * A policy holds that this key has signed: so an update locks nobody out. It stands first, too. What the key has signed
   * so far satisfies the step, and is no part of its digest.
   */
  | {
      readonly kind: 'authorize';
      readonly key: TPMT_PUBLIC;
      readonly policyRef: Uint8Array;
      readonly approved?: readonly ApprovedPcrPolicy[];
    }
  /** The object's authorization value, as a PIN: with the TPM's protection against guessing. */
  | { readonly kind: 'auth-value' };

export interface PolicyPcr {
  readonly bank: TPMI_ALG_HASH;
  readonly pcr: number;
  readonly value: Uint8Array;
}

/** A PCR policy that the key of an `authorize` step has signed. */
export interface ApprovedPcrPolicy {
  readonly selection: TPML_PCR_SELECTION;
  /** Of the policy with that one step. */
  readonly digest: Uint8Array;
  /** Over H(digest ‖ policyRef), H being the key's name algorithm (Part 3, 23.16). */
  readonly signature: TPMT_SIGNATURE_PRESENT;
}

/** TPM2_PolicyOR takes at least two digests; TPML_DIGEST holds eight. */
const MIN_BRANCHES = 2;
const MAX_BRANCHES = 8;

/**
 * The digest that an object with this policy has as its `authPolicy` (Part 3, 23: each command's PolicyUpdate).
 * @param algorithm the object's name algorithm
 * @throws {TpmError} `tpm.argument` for a policy that cannot be
 */
export function policyDigest(policy: Policy, algorithm: DigestAlgorithm): Buffer {
  const start = Buffer.alloc(digestInfo(algorithm).size);
  return policy.reduce<Buffer>((before, step, index) => {
    if (index > 0 && (step.kind === 'or' || step.kind === 'authorize')) {
      throw new TpmError('tpm.argument', `a policy's step '${step.kind}' must stand first`);
    }
    return extended(before, step, algorithm);
  }, start);
}

function extended(before: Buffer, step: PolicyStep, algorithm: DigestAlgorithm): Buffer {
  switch (step.kind) {
    case 'pcr': {
      const selection = encode(TPML_PCR_SELECTION, pcrSelectionOf(step.values));
      return digest(algorithm, before, code(TPM2_PolicyPCR), selection, pcrDigest(step.values, algorithm));
    }
    case 'or': {
      if (step.branches.length < MIN_BRANCHES || step.branches.length > MAX_BRANCHES) {
        throw new TpmError('tpm.argument', `a policy has ${MIN_BRANCHES} to ${MAX_BRANCHES} alternatives`);
      }
      const branches = step.branches.map((branch) => policyDigest(branch, algorithm));
      return digest(algorithm, Buffer.alloc(before.length), code(TPM2_PolicyOR), ...branches);
    }
    case 'authorize': {
      const named = digest(algorithm, Buffer.alloc(before.length), code(TPM2_PolicyAuthorize), objectName(step.key));
      return digest(algorithm, named, step.policyRef);
    }
    case 'auth-value':
      return digest(algorithm, before, code(TPM2_PolicyAuthValue));
  }
}

function code(command: { readonly code: number }): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(command.code);
  return bytes;
}

/** Banks in the order in which they are first named, PCRs ascending: the order of the values in the TPM's digest too. */
export function pcrSelectionOf(values: readonly PolicyPcr[]): TPML_PCR_SELECTION {
  const banks = Map.groupBy(values, ({ bank }) => bank);
  return [...banks].map(([hash, ofBank]) => ({ hash, pcrs: ofBank.map(({ pcr }) => pcr).sort((a, b) => a - b) }));
}

/** H(values in the order of their selection) (Part 3, 23.7). @throws {TpmError} `tpm.argument` for a PCR that is there twice */
export function pcrDigest(values: readonly PolicyPcr[], algorithm: DigestAlgorithm): Buffer {
  const ordered = pcrSelectionOf(values).flatMap(({ hash, pcrs }) =>
    pcrs.map((pcr) => {
      const same = values.filter((value) => value.bank === hash && value.pcr === pcr);
      const [only, another] = same;
      if (only === undefined || another !== undefined) throw new TpmError('tpm.argument', `PCR ${pcr} is there twice`);
      return only.value;
    }),
  );
  return digest(algorithm, ...ordered);
}
