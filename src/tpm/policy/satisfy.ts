/** Satisfies policies in a session: the commands that a policy's description asks for, for the PCRs as they are now. */
import { bytesEqual, type DigestAlgorithm, digest, toHex } from '../../bytes/index.ts';
import type { Session, TpmClient } from '../client/index.ts';
import {
  TPM2_FlushContext,
  TPM2_LoadExternal,
  TPM2_PolicyAuthorize,
  TPM2_PolicyAuthValue,
  TPM2_PolicyOR,
  TPM2_PolicyPCR,
  TPM2_VerifySignature,
} from '../commands.ts';
import { TpmError } from '../errors.ts';
import { objectName } from '../names.ts';
import { readPcrs } from '../pcr-bank.ts';
import { TPM_RH, type TPML_PCR_SELECTION, type TPMT_PUBLIC } from '../structures.ts';
import {
  type ApprovedPcrPolicy,
  type Policy,
  type PolicyPcr,
  type PolicyStep,
  pcrDigest,
  pcrSelectionOf,
  policyDigest,
} from './policy.ts';

/** Why a policy cannot be satisfied now. */
export class PolicyNotSatisfied extends Error {
  /** PCRs whose values are not those of the policy: of the alternative that comes nearest. */
  readonly differing: readonly {
    readonly bank: string;
    readonly pcr: number;
    readonly expected: string;
    readonly found: string;
  }[];

  constructor(message: string, differing: PolicyNotSatisfied['differing'] = []) {
    super(message);
    this.name = 'PolicyNotSatisfied';
    this.differing = differing;
  }
}

/**
 * @param session a policy session whose hash is the object's name algorithm
 * @throws {PolicyNotSatisfied} where the PCRs are other ones, or nothing approves them
 */
export async function satisfyPolicy(tpm: TpmClient, session: Session, policy: Policy): Promise<void> {
  for (const step of policy) await satisfyStep(tpm, session, step);
}

async function satisfyStep(tpm: TpmClient, session: Session, step: PolicyStep): Promise<void> {
  const policySession = session.handle;
  switch (step.kind) {
    case 'pcr': {
      const differing = differences(step.values, await currentValues(tpm, pcrSelectionOf(step.values)));
      if (differing.length > 0) throw new PolicyNotSatisfied('PCRs have other values', differing);
      const expected = { pcrDigest: pcrDigest(step.values, session.authHash), pcrs: pcrSelectionOf(step.values) };
      await tpm.execute(TPM2_PolicyPCR, { policySession, ...expected });
      return;
    }
    case 'or': {
      await satisfyPolicy(tpm, session, await nearestBranch(tpm, step.branches));
      const pHashList = step.branches.map((branch) => policyDigest(branch, session.authHash));
      await tpm.execute(TPM2_PolicyOR, { policySession, pHashList });
      return;
    }
    case 'authorize':
      return await satisfyAuthorize(tpm, session, step);
    case 'auth-value':
      await tpm.execute(TPM2_PolicyAuthValue, { policySession });
      session.policyAuth = 'value';
      return;
  }
}

/** The alternative whose PCRs are as they are now; where there is none, the one with the fewest that differ. */
async function nearestBranch(tpm: TpmClient, branches: readonly Policy[]): Promise<Policy> {
  let nearest: { readonly branch: Policy; readonly count: number } | undefined;
  for (const branch of branches) {
    const values = branch.flatMap((step) => (step.kind === 'pcr' ? step.values : []));
    const count = differences(values, await currentValues(tpm, pcrSelectionOf(values))).length;
    if (nearest === undefined || count < nearest.count) nearest = { branch, count };
  }
  return nearest?.branch ?? [];
}

async function satisfyAuthorize(
  tpm: TpmClient,
  session: Session,
  { key, policyRef, approved = [] }: Extract<PolicyStep, { kind: 'authorize' }>,
): Promise<void> {
  const found = await approvedNow(tpm, approved, session.authHash);
  if (found === undefined) {
    throw new PolicyNotSatisfied(
      approved.length === 0
        ? 'no signed policy was given'
        : `none of ${approved.length} signed policies approves the PCRs as they are`,
    );
  }
  const policySession = session.handle;
  const pcrs = found.policy.selection;
  await tpm.execute(TPM2_PolicyPCR, { policySession, pcrDigest: pcrDigest(found.values, session.authHash), pcrs });
  // The ticket must be of a hierarchy, so that TPM2_PolicyAuthorize believes it (Part 3, 23.16.1).
  const request = { inPrivate: undefined, inPublic: key, hierarchy: TPM_RH.OWNER };
  const { objectHandle: keyHandle } = await tpm.execute(TPM2_LoadExternal, request);
  try {
    const { digest: approvedPolicy, signature } = found.policy;
    const signed = digest(nameAlgOf(key), approvedPolicy, policyRef);
    const { validation } = await tpm.execute(TPM2_VerifySignature, { keyHandle, digest: signed, signature });
    const keySign = objectName(key);
    await tpm.execute(TPM2_PolicyAuthorize, {
      policySession,
      approvedPolicy,
      policyRef,
      keySign,
      checkTicket: validation,
    });
  } finally {
    await tpm.execute(TPM2_FlushContext, { flushHandle: keyHandle });
  }
}

function nameAlgOf({ nameAlg }: TPMT_PUBLIC): DigestAlgorithm {
  if (nameAlg !== 'null') return nameAlg;
  throw new TpmError('tpm.argument', 'a key that signs policies has a name algorithm');
}

async function approvedNow(
  tpm: TpmClient,
  approved: readonly ApprovedPcrPolicy[],
  algorithm: DigestAlgorithm,
): Promise<{ readonly policy: ApprovedPcrPolicy; readonly values: readonly PolicyPcr[] } | undefined> {
  for (const policy of approved) {
    const values = await currentValues(tpm, policy.selection);
    if (bytesEqual(policyDigest([{ kind: 'pcr', values }], algorithm), policy.digest)) return { policy, values };
  }
  return undefined;
}

/**
 * The PCRs of a selection as they are now.
 * @throws {TpmError} `tpm.unsupported` where the TPM lacks one of them
 */
export async function currentValues(tpm: TpmClient, selection: TPML_PCR_SELECTION): Promise<PolicyPcr[]> {
  const values: PolicyPcr[] = [];
  for (const { hash, pcrs } of selection) {
    const found = await readPcrs(tpm, hash, pcrs);
    const missing = pcrs.find((pcr) => !found.some(({ index }) => index === pcr));
    if (missing !== undefined) {
      throw new TpmError('tpm.unsupported', `the TPM has no PCR ${missing} in its bank ${hash}`, {
        advice: 'look at the banks that are active: assay tpm pcrs',
      });
    }
    values.push(...found.map(({ index, value }) => ({ bank: hash, pcr: index, value })));
  }
  return values;
}

function differences(expected: readonly PolicyPcr[], found: readonly PolicyPcr[]): PolicyNotSatisfied['differing'] {
  return expected.flatMap(({ bank, pcr, value }) => {
    const now = found.find((one) => one.bank === bank && one.pcr === pcr)?.value ?? new Uint8Array(0);
    return bytesEqual(now, value) ? [] : [{ bank, pcr, expected: toHex(value), found: toHex(now) }];
  });
}
