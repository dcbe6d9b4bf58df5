/** Options that open a trusted key. */
import type { Command } from 'commander';
import {
  blobAuthOf,
  currentPcrValues,
  keyAuthOf,
  parsePolicyFile,
  parseSignedPolicies,
  policyOf,
  type TrustedBlob,
  type UnsealRequest,
  withApproved,
} from '../../keys/index.ts';
import { type Policy, parsePcrSelection, type TpmClient } from '../../tpm/index.ts';
import { inFile } from '../in-file.ts';
import { readInput } from '../read-input.ts';
import { readPassword, SECRET_FORMS } from '../secret-source.ts';
import { handleArgument } from './handle.ts';
import { readPin } from './pin.ts';

export interface OpenFlags {
  readonly keyhandle?: number;
  readonly keyauth?: string;
  readonly blobauth?: string;
  readonly openPin?: string;
  readonly policy?: string;
  readonly openPcrs?: string;
  readonly signedPolicy?: string;
  readonly policyhandle?: number;
}

/** Where a command's own options are about nothing else, they are called `--pcrs` and `--pin`. */
export type PlainOpenFlags = Omit<OpenFlags, 'openPcrs' | 'openPin'> & {
  readonly pcrs?: string;
  readonly pin?: string;
};

export function openFlagsOf<T extends PlainOpenFlags>({
  pcrs,
  pin,
  ...others
}: T): Omit<T, 'pcrs' | 'pin'> & Pick<OpenFlags, 'openPcrs' | 'openPin'> {
  return {
    ...others,
    ...(pcrs === undefined ? {} : { openPcrs: pcrs }),
    ...(pin === undefined ? {} : { openPin: pin }),
  };
}

const MAX_FILE = 4 * 1024 * 1024;

/** @param names of the options that `key reseal` has for another purpose */
export function addOpenOptions(command: Command, names: { readonly pcrs?: string; readonly pin: string }): Command {
  command
    .option('--keyhandle <handle>', 'handle of the storage key (left out: as the blob says)', handleArgument)
    .option('--keyauth <source>', `its authorization value, 40 hex digits: ${SECRET_FORMS}`)
    .option('--blobauth <source>', `the key's authorization value, as at its creation: ${SECRET_FORMS}`)
    .option(`${names.pin} <source>`, `the key's PIN: ${SECRET_FORMS}`)
    .option('--policyhandle <handle>', 'a policy session in the TPM that satisfies it already', handleArgument)
    .option('--policy <file>', 'what it was sealed to (left out: FILE.policy)')
    .option(
      '--signed-policy <file>',
      'policies that the owner of its --authorize key has signed (JSON of systemd-measure)',
    );
  if (names.pcrs !== undefined)
    command.option(`${names.pcrs} <selection>`, 'the PCRs that it was sealed to, where no file tells');
  return command;
}

/** What a trusted key asks of those who open it. Secrets. */
export interface OpenSecrets {
  readonly keyAuth?: Uint8Array;
  /** Its authorization value, or its PIN. */
  readonly blobAuth?: Uint8Array;
}

/** Read once, however many keys are opened with them. */
export async function readOpenSecrets({ keyauth, blobauth, openPin }: OpenFlags): Promise<OpenSecrets> {
  const keyAuth = keyauth === undefined ? {} : { keyAuth: keyAuthOf(await readPassword(keyauth, 'keyauth')) };
  if (openPin !== undefined) return { ...keyAuth, blobAuth: await readPin(openPin) };
  if (blobauth === undefined) return keyAuth;
  return { ...keyAuth, blobAuth: blobAuthOf(await readPassword(blobauth, 'blobauth')) };
}

/**
 * What unsealing needs.
 * @param described policies that are kept with the key: of one that matches its digest it is told what to satisfy
 */
export async function openRequest(
  tpm: TpmClient,
  blob: TrustedBlob,
  described: readonly Policy[],
  flags: OpenFlags,
  secrets: OpenSecrets,
): Promise<UnsealRequest> {
  const named = await namedPolicies(tpm, flags);
  // One that is named and does not match is tried too: the TPM then says no, and we which PCRs it was about.
  const policy = policyOf(blob, [...named, ...described]) ?? (flags.openPcrs === undefined ? undefined : named.at(-1));
  return {
    ...(flags.keyhandle === undefined ? {} : { parent: flags.keyhandle }),
    ...(flags.policyhandle === undefined ? {} : { policyHandle: flags.policyhandle }),
    ...secrets,
    ...(policy === undefined ? {} : { policy: approvedBy(policy, flags) }),
  };
}

async function namedPolicies(tpm: TpmClient, { policy, openPcrs, openPin }: OpenFlags): Promise<Policy[]> {
  const ofFile =
    policy === undefined ? [] : inFile(policy, () => parsePolicyFile(readInput(policy, MAX_FILE).toString()));
  if (openPcrs === undefined) return ofFile;
  const values = await currentPcrValues(tpm, parsePcrSelection(openPcrs));
  return [...ofFile, [{ kind: 'pcr', values }, ...(openPin === undefined ? [] : [{ kind: 'auth-value' } as const])]];
}

function approvedBy(policy: Policy, { signedPolicy }: OpenFlags): Policy {
  if (signedPolicy === undefined) return policy;
  return policy.map((step) =>
    step.kind === 'authorize' ? withApproved(step, readSignedPolicies(signedPolicy, step)) : step,
  );
}

/** @throws {KeyError} with the file's name */
export function readSignedPolicies(path: string, signer: Parameters<typeof parseSignedPolicies>[1]) {
  return inFile(path, () => parseSignedPolicies(readInput(path, MAX_FILE).toString(), signer));
}
