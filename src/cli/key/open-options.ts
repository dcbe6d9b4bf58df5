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
} from '../../keys/index.ts';
import { type Policy, parsePcrSelection, type TpmClient } from '../../tpm/index.ts';
import { inFile } from '../in-file.ts';
import { readInput } from '../read-input.ts';
import { readPassword, SECRET_FORMS } from '../secret-source.ts';
import { handleArgument } from './handle.ts';
import { readPolicies } from './key-file.ts';

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

/** What unsealing needs, from the options and from what lies beside the key. */
export async function openRequest(
  tpm: TpmClient,
  path: string,
  blob: TrustedBlob,
  flags: OpenFlags,
): Promise<UnsealRequest> {
  const policy = policyOf(blob, [...(await namedPolicies(tpm, flags)), ...readPolicies(path)]);
  const fallback = policy ?? (flags.openPcrs === undefined ? undefined : (await namedPolicies(tpm, flags))[0]);
  const secret = await secretOf(flags);
  return {
    ...(flags.keyhandle === undefined ? {} : { parent: flags.keyhandle }),
    ...(flags.policyhandle === undefined ? {} : { policyHandle: flags.policyhandle }),
    ...(flags.keyauth === undefined ? {} : { keyAuth: keyAuthOf(await readPassword(flags.keyauth, 'keyauth')) }),
    ...(secret === undefined ? {} : { blobAuth: secret }),
    ...(fallback === undefined ? {} : { policy: fallback }),
    ...approvedBy(policy, flags),
  };
}

async function secretOf({ blobauth, openPin }: OpenFlags): Promise<Uint8Array | undefined> {
  if (openPin !== undefined) return Buffer.from(await readPassword(openPin, 'PIN'));
  return blobauth === undefined ? undefined : blobAuthOf(await readPassword(blobauth, 'blobauth'));
}

async function namedPolicies(tpm: TpmClient, { policy, openPcrs, openPin }: OpenFlags): Promise<Policy[]> {
  const ofFile =
    policy === undefined ? [] : inFile(policy, () => parsePolicyFile(readInput(policy, MAX_FILE).toString()));
  if (openPcrs === undefined) return ofFile;
  const values = await currentPcrValues(tpm, parsePcrSelection(openPcrs));
  return [...ofFile, [{ kind: 'pcr', values }, ...(openPin === undefined ? [] : [{ kind: 'auth-value' } as const])]];
}

function approvedBy(policy: Policy | undefined, { signedPolicy }: OpenFlags): Pick<UnsealRequest, 'approved'> {
  const step = policy?.find(({ kind }) => kind === 'authorize');
  if (signedPolicy === undefined || step?.kind !== 'authorize') return {};
  return {
    approved: inFile(signedPolicy, () => parseSignedPolicies(readInput(signedPolicy, MAX_FILE).toString(), step.key)),
  };
}
