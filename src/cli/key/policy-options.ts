/** Options that say to what a trusted key is sealed. */
import type { Command } from 'commander';
import { digestInfo, fromHex, toHex } from '../../bytes/index.ts';
import { currentPcrValues, KeyError, keepApproved, policyKeyArea } from '../../keys/index.ts';
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
import { readSignedPolicies } from './open-options.ts';

export interface PolicyFlags {
  readonly pcrs?: string;
  readonly pcrValues?: readonly string[];
  readonly now?: boolean;
  readonly pin?: string;
  readonly authorize?: string;
  readonly approve?: string;
}

export function addPolicyOptions(command: Command): Command {
  return command
    .option('--pcrs <selection>', 'seal to these PCRs, as sha256:0,7')
    .option(
      '--pcr-values <file>',
      'values of those PCRs in boots to come, as `boot predict --json` or tpm2_quote --pcr give them (may be repeated); left out: as they are now',
      collect,
    )
    .option('--now', 'with --pcr-values: the PCRs as they are now do as well')
    .option('--authorize <pem>', 'seal to whatever PCR policy the owner of this RSA public key signs')
    .option(
      '--approve <file>',
      'with --authorize: policies that its owner has signed so far (JSON of systemd-measure), kept with the key',
    )
    .option('--pin <source>', `ask for a PIN as well, which the TPM protects from guessing: ${SECRET_FORMS}`);
}

/**
 * The policy that the options describe; undefined where they ask for none.
 * @throws {KeyError} `key.option` for options that contradict each other
 */
export async function policyFor(tpm: TpmClient, flags: PolicyFlags): Promise<Policy | undefined> {
  const steps: PolicyStep[] = [];
  if (flags.approve !== undefined && flags.authorize === undefined) {
    throw new KeyError('key.option', '--approve is about --authorize, which is missing');
  }
  if (flags.authorize !== undefined) steps.push(authorizeStep(flags.authorize, flags));
  else if (flags.pcrs !== undefined) steps.push(await pcrStep(tpm, parsePcrSelection(flags.pcrs), flags));
  else if (flags.pcrValues !== undefined) {
    throw new KeyError('key.option', '--pcr-values is about PCRs that --pcrs names');
  }
  if (flags.pin !== undefined) steps.push({ kind: 'auth-value' });
  return steps.length === 0 ? undefined : steps;
}

function authorizeStep(pem: string, { pcrs, approve }: PolicyFlags): PolicyStep {
  if (pcrs !== undefined) {
    throw new KeyError('key.option', '--authorize and --pcrs exclude each other', {
      advice: 'which PCRs it is about stands in the policies that are signed',
    });
  }
  const key = inFile(pem, () => policyKeyArea(readInput(pem, 64 * 1024)));
  const step = { kind: 'authorize', key, policyRef: new Uint8Array(0) } as const;
  return approve === undefined ? step : approvedStep(step, approve);
}

/** The step with what the file holds kept in it. */
export function approvedStep(
  step: Extract<PolicyStep, { kind: 'authorize' }>,
  file: string,
): Extract<PolicyStep, { kind: 'authorize' }> {
  return keepApproved(step, readSignedPolicies(file, step));
}

async function pcrStep(tpm: TpmClient, selection: TPML_PCR_SELECTION, flags: PolicyFlags): Promise<PolicyStep> {
  const { pcrValues = [], now = false } = flags;
  const later = pcrValues.flatMap((file) => inFile(file, () => statesIn(readInput(file, MAX_VALUES), selection)));
  const all = pcrValues.length === 0 || now ? [await currentPcrValues(tpm, selection), ...later] : later;
  // Boots that differ in other PCRs alone are one state.
  const states = [...new Map(all.map((values) => [values.map(({ value }) => toHex(value)).join(), values])).values()];
  const [only, ...others] = states;
  if (only !== undefined && others.length === 0) return { kind: 'pcr', values: only };
  return { kind: 'or', branches: states.map((values) => [{ kind: 'pcr', values }]) };
}

/** Predictions tell each measurement. */
const MAX_VALUES = 16 << 20;

/**
 * The selected PCRs in each state that a file tells: tpm2-tools' binary one, or JSON, `{"sha256":{"7":HEX}}`, that below
 * `pcrs`, or several of these as the `variants` of `boot predict`.
 */
function statesIn(bytes: Buffer, selection: TPML_PCR_SELECTION): PolicyPcr[][] {
  if (bytes.length > MAX_VALUES) throw new KeyError('key.option', `it has more than ${MAX_VALUES} bytes`);
  const states = bytes[0] === 0x7b ? jsonStates(bytes.toString('utf8')) : [{ name: 'it', values: binaryValues(bytes) }];
  return states.map((state) => selectedIn(state, selection));
}

interface KnownState {
  /** Of the variant, for people. */
  readonly name: string;
  readonly values: readonly PolicyPcr[];
}

function selectedIn({ name, values }: KnownState, selection: TPML_PCR_SELECTION): PolicyPcr[] {
  return selection.flatMap(({ hash, pcrs }) =>
    pcrs.map((pcr) => {
      const found = values.find((value) => value.bank === hash && value.pcr === pcr);
      if (found !== undefined) return found;
      throw new KeyError('key.option', `${name} has no value of PCR ${pcr} in bank ${hash}`, {
        advice: 'leave that PCR out of --pcrs; `assay boot predict` tells why it does not follow',
      });
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

function jsonStates(text: string): KnownState[] {
  const root = recordOf(parseJson(text));
  if (!Array.isArray(root.variants)) return [{ name: 'it', values: jsonValues(root) }];
  if (root.variants.length === 0) throw new KeyError('key.option', 'it predicts no boot');
  return root.variants.map(recordOf).map((variant) => ({
    name: typeof variant.name === 'string' ? `'${variant.name.slice(0, 200)}'` : 'it',
    values: jsonValues(variant),
  }));
}

function jsonValues(root: Readonly<Record<string, unknown>>): PolicyPcr[] {
  const banks = 'pcrs' in root ? recordOf(root.pcrs) : root;
  return BANKS.flatMap((bank) =>
    Object.entries(recordOf(banks[bank] ?? {})).map(([pcr, value]) => ({
      bank,
      pcr: Number(pcr),
      value: pcrValueOf(bank, pcr, value),
    })),
  );
}

/** A key that is sealed to half a value would never open. */
function pcrValueOf(bank: (typeof BANKS)[number], pcr: string, value: unknown): Uint8Array {
  const bytes = fromHex(String(value), `PCR ${pcr}`);
  const { size } = digestInfo(bank);
  if (bytes.length === size) return bytes;
  throw new KeyError('key.option', `its PCR ${pcr} has ${bytes.length} bytes, and in bank ${bank} it has ${size}`);
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
  throw new KeyError('key.option', 'these are no PCR values', { advice: 'write {"sha256":{"7":"HEX"}}' });
}
