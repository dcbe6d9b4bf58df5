/** Options that say to what a trusted key is sealed. */
import type { Command } from 'commander';
import { fromHex } from '../../bytes/index.ts';
import { currentPcrValues, KeyError, policyKeyArea } from '../../keys/index.ts';
import {
  type Policy,
  type PolicyPcr,
  type PolicyStep,
  parsePcrSelection,
  readPcrValues,
  type TPMI_ALG_HASH,
  type TPML_PCR_SELECTION,
  type TpmClient,
} from '../../tpm/index.ts';
import { inFile } from '../in-file.ts';
import { readInput } from '../read-input.ts';
import { SECRET_FORMS } from '../secret-source.ts';
import { collect } from '../tree-options.ts';

export interface PolicyFlags {
  readonly pcrs?: string;
  readonly pcrValues?: readonly string[];
  readonly now?: boolean;
  readonly pin?: string;
  readonly authorize?: string;
}

export function addPolicyOptions(command: Command): Command {
  return command
    .option('--pcrs <selection>', 'seal to these PCRs, as sha256:0,7')
    .option(
      '--pcr-values <file>',
      'values of those PCRs in a boot to come, as `boot predict --json` or tpm2_quote --pcr give them (may be repeated); left out: as they are now',
      collect,
    )
    .option('--now', 'with --pcr-values: the PCRs as they are now do as well')
    .option('--authorize <pem>', 'seal to whatever PCR policy the owner of this RSA public key signs')
    .option('--pin <source>', `ask for a PIN as well, which the TPM protects from guessing: ${SECRET_FORMS}`);
}

/**
 * The policy that the options describe; undefined where they ask for none.
 * @throws {KeyError} `key.option` for options that contradict each other
 */
export async function policyFor(tpm: TpmClient, flags: PolicyFlags): Promise<Policy | undefined> {
  const steps: PolicyStep[] = [];
  if (flags.authorize !== undefined) steps.push(authorizeStep(flags.authorize, flags));
  else if (flags.pcrs !== undefined) steps.push(await pcrStep(tpm, parsePcrSelection(flags.pcrs), flags));
  else if (flags.pcrValues !== undefined) {
    throw new KeyError('key.option', '--pcr-values is about PCRs that --pcrs names');
  }
  if (flags.pin !== undefined) steps.push({ kind: 'auth-value' });
  return steps.length === 0 ? undefined : steps;
}

function authorizeStep(pem: string, { pcrs }: PolicyFlags): PolicyStep {
  if (pcrs !== undefined) {
    throw new KeyError('key.option', '--authorize and --pcrs exclude each other', {
      advice: 'which PCRs it is about stands in the policies that are signed',
    });
  }
  const key = inFile(pem, () => policyKeyArea(readInput(pem, 64 * 1024)));
  return { kind: 'authorize', key, policyRef: new Uint8Array(0) };
}

async function pcrStep(tpm: TpmClient, selection: TPML_PCR_SELECTION, flags: PolicyFlags): Promise<PolicyStep> {
  const { pcrValues = [], now = false } = flags;
  const later = pcrValues.map((file) => inFile(file, () => valuesIn(readInput(file, 1 << 20), selection)));
  const states = pcrValues.length === 0 || now ? [await currentPcrValues(tpm, selection), ...later] : later;
  const [only, ...others] = states;
  if (only !== undefined && others.length === 0) return { kind: 'pcr', values: only };
  return { kind: 'or', branches: states.map((values) => [{ kind: 'pcr', values }]) };
}

/** The selected PCRs out of a file with values: tpm2-tools' binary one, or JSON `{"pcrs":{"sha256":{"7":HEX}}}` with or without `pcrs`. */
function valuesIn(bytes: Buffer, selection: TPML_PCR_SELECTION): PolicyPcr[] {
  const known = bytes[0] === 0x7b ? jsonValues(bytes.toString('utf8')) : binaryValues(bytes);
  return selection.flatMap(({ hash, pcrs }) =>
    pcrs.map((pcr) => {
      const found = known.find((value) => value.bank === hash && value.pcr === pcr);
      if (found !== undefined) return found;
      throw new KeyError('key.option', `the file has no value of PCR ${pcr} in bank ${hash}`);
    }),
  );
}

const BANKS = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3'] as const satisfies readonly TPMI_ALG_HASH[];

function binaryValues(bytes: Buffer): PolicyPcr[] {
  return readPcrValues(bytes).flatMap(({ hash, pcrs }) => {
    const bank = BANKS.find((name) => name === hash);
    return bank === undefined ? [] : pcrs.map(({ index, value }) => ({ bank, pcr: index, value }));
  });
}

function jsonValues(text: string): PolicyPcr[] {
  const root = recordOf(parseJson(text));
  const banks = 'pcrs' in root ? recordOf(root.pcrs) : root;
  return BANKS.flatMap((bank) =>
    Object.entries(recordOf(banks[bank] ?? {})).map(([pcr, value]) => ({
      bank,
      pcr: Number(pcr),
      value: fromHex(String(value), `PCR ${pcr}`),
    })),
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new KeyError('key.malformed', 'these are no PCR values', { advice: 'write {"sha256":{"7":"HEX"}}' });
}
