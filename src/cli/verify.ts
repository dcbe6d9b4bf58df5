/** `assay verify`: judges evidence in a file. */
import type { KeyObject } from 'node:crypto';
import { type Command, Option } from 'commander';
import { AssayError, type ExitCode } from '../bytes/index.ts';
import {
  EVIDENCE_LIMITS,
  type Evidence,
  EvidenceCodec,
  type Measurer,
  type PcrBank,
  type Quote,
  type Refusal,
} from '../evidence/index.ts';
import { type BootReference, componentPcrs, hasComponentsIn } from '../reference/index.ts';
import { encode, readPublicFile, TPMT_PUBLIC, uniqueOf } from '../tpm/index.ts';
import {
  type AttestationResult,
  checkAkPublic,
  type Enrolment,
  FINDINGS,
  parseEnrolmentRecord,
  type Verdict,
  verify,
} from '../verify/index.ts';
import { inFile } from './in-file.ts';
import { parseNonce } from './parse-nonce.ts';
import { parsePcrs } from './parse-pcrs.ts';
import { readInput } from './read-input.ts';
import { readReference } from './reference.ts';
import { escapeControls, printJson, printLine, styled } from './terminal.ts';

const KEY_LIMIT = 64 * 1024;
const EXIT_CODES: Readonly<Record<Verdict, ExitCode>> = { trusted: 0, warning: 0, untrusted: 1, unknown: 3 };
const COLOURS = { trusted: 'green', warning: 'yellow', untrusted: 'red', unknown: 'magenta' } as const;
const STRONG_BANKS: readonly PcrBank[] = ['sha256', 'sha384', 'sha512', 'sm3'];
const BANKS: readonly PcrBank[] = [...STRONG_BANKS, 'sha1'];

/** What boots, and the IMA list. */
const ALWAYS_QUOTED = Array.from({ length: 11 }, (_, pcr) => pcr);

const HELP = `
Without --ak or --enrolment nothing says whose quote it is: the verdict is unknown at best.
The safe form is --enrolment: the record fixes key, PCRs and measurer. With --ak the quote must cover PCR 0–10 and every
PCR that the reference names, in a bank that it names; --pcrs asks for exactly others. Evidence cannot prove that a kernel
wrote its list: without --measurer kernel the verdict is at most a warning.

Example:
  assay verify evidence.cbor --ak ak.pub --reference reference.json --nonce 00112233…`;

interface Options {
  readonly nonce: Uint8Array;
  readonly ak?: string;
  readonly enrolment?: string;
  readonly pcrs?: readonly number[];
  readonly measurer?: Measurer;
  readonly reference?: string;
  readonly json?: boolean;
}

/** The key is no attestation key; the first reason's code is the error's. */
class UnfitKeyError extends AssayError {
  readonly code: Refusal['code'];

  constructor(path: string, [first, ...others]: readonly [Refusal, ...Refusal[]]) {
    const messages = [first, ...others].map(({ message }) => message).join(' ');
    super(`${path}: ${messages}`, { advice: 'give the public area of a restricted signing key' });
    this.code = first.code;
  }
}

export function register(program: Command): void {
  program
    .command('verify')
    .description('Verify evidence in a file and say whether the machine is what its reference says')
    .argument('<evidence>', 'evidence, as `assay evidence collect` writes it')
    .requiredOption('--nonce <hex>', 'the nonce that the evidence must answer', parseNonce)
    .option('--ak <file>', 'the attestation key: TPM2B_PUBLIC, TPMT_PUBLIC, PEM or DER')
    .addOption(
      new Option('--enrolment <file>', 'the enrolment record, instead of --ak').conflicts(['ak', 'pcrs', 'measurer']),
    )
    .option('--pcrs <list>', 'with --ak: the PCRs that the quote must be of', parsePcrs)
    .addOption(
      new Option('--measurer <who>', 'with --ak: who measures the host, as you know it').choices([
        'kernel',
        'user-space',
      ]),
    )
    .option('--reference <file>', 'the reference manifest')
    .option('--json', 'print {"verdict","assurance","verified","findings","measured"}')
    .addHelpText('after', HELP)
    .action(run);
}

function run(path: string, options: Options): void {
  const binding = bindingOf(options);
  const evidence = inFile(path, () => EvidenceCodec.decode(readInput(path, EVIDENCE_LIMITS.evidence)));
  const reference = options.reference === undefined ? undefined : readReference(options.reference);
  const result = verify({
    evidence,
    enrolment: enrolmentOf(binding, evidence, reference?.manifest.boot),
    reference,
    state: undefined,
    nonce: options.nonce,
    now: Date.now(),
    lastAttempt: true,
  });
  const verdict = result.verdict ?? 'unknown';
  if (options.json === true) printAsJson(verdict, result);
  else printForPeople(verdict, result);
  process.exitCode = EXIT_CODES[verdict];
}

/** What binds the evidence to a TPM: a whole enrolment, or a key and what the person says of the host. */
type Binding = Enrolment | StatedKey;

interface StatedKey {
  readonly path: string;
  readonly ak: Uint8Array;
  readonly pcrs: readonly number[] | undefined;
  readonly measurer: Measurer | undefined;
}

function bindingOf({ ak: path, enrolment, pcrs, measurer }: Options): Binding | undefined {
  if (enrolment !== undefined) {
    return inFile(enrolment, () => parseEnrolmentRecord(readInput(enrolment, KEY_LIMIT).toString('utf8')));
  }
  return path === undefined ? undefined : { path, ak: inFile(path, () => attestationKey(path)), pcrs, measurer };
}

function enrolmentOf(
  binding: Binding | undefined,
  { quote }: Evidence,
  boot: BootReference | undefined,
): Enrolment | undefined {
  if (binding === undefined || !('ak' in binding)) return binding;
  const { path, ak, pcrs, measurer } = binding;
  const bank = bankToAsk(quote, boot);
  const selection = { bank, pcrs: pcrs ?? pcrsToAsk(quote, bank, boot) };
  return { hostId: path, akPublic: ak, selection, measurer, assurance: undefined };
}

/** The evidence chooses only among the banks that the reference names: in another one its boot would go unjudged. */
function bankToAsk({ pcrs }: Quote, boot: BootReference | undefined): PcrBank {
  const ofEvents = (boot?.events ?? []).map(({ digest }) => digest.split(':', 1)[0]);
  const components = boot?.components ?? [];
  const named = STRONG_BANKS.filter(
    (bank) => boot?.pcrs[bank] !== undefined || ofEvents.includes(bank) || hasComponentsIn(components, bank),
  );
  const allowed = named.length > 0 ? named : BANKS;
  return allowed.find((bank) => pcrs[bank] !== undefined) ?? allowed[0] ?? 'sha256';
}

/** More PCRs than are needed may be quoted; none may be left out. */
function pcrsToAsk({ pcrs }: Quote, bank: PcrBank, boot: BootReference | undefined): number[] {
  const quoted = Object.keys(pcrs[bank] ?? {}).map(Number);
  const named = [
    ...Object.keys(boot?.pcrs[bank] ?? {}).map(Number),
    ...(boot?.events ?? []).map(({ pcr }) => pcr),
    ...componentPcrs(boot?.components ?? []),
  ];
  return [...new Set([...ALWAYS_QUOTED, ...named, ...quoted])].sort((a, b) => a - b);
}

/** A TPM's public area must be fit for an attestation key; PEM and DER say nothing of attributes, and are believed. */
function attestationKey(path: string): Uint8Array {
  const { key, area } = readPublicFile(readInput(path, KEY_LIMIT));
  if (area === undefined) return publicAreaOf(key);
  const bytes = encode(TPMT_PUBLIC, area);
  const [first, ...others] = checkAkPublic(bytes);
  if (first !== undefined) throw new UnfitKeyError(path, [first, ...others]);
  return bytes;
}

function publicAreaOf(key: KeyObject): Uint8Array {
  const of = uniqueOf(key);
  const common = { nameAlg: 'sha256', objectAttributes: { sign: true }, authPolicy: new Uint8Array() } as const;
  const symmetric = { algorithm: 'null' } as const;
  const scheme = { scheme: 'null' } as const;
  if (of.type === 'rsa') {
    const exponent = key.asymmetricKeyDetails?.publicExponent ?? 65537n;
    const parameters = { symmetric, scheme, keyBits: of.keyBits, exponent: Number(exponent) };
    return encode(TPMT_PUBLIC, { ...common, type: 'rsa', parameters, unique: of.unique });
  }
  const parameters = { symmetric, scheme, curveID: of.curve, kdf: { scheme: 'null' } } as const;
  return encode(TPMT_PUBLIC, { ...common, type: 'ecc', parameters, unique: of.unique });
}

function printAsJson(verdict: Verdict, { assurance, verified, findings, measured }: AttestationResult): void {
  const reported = findings.map((found) => ({ ...found, severity: FINDINGS[found.code].severity }));
  printJson({ verdict, assurance: assurance ?? null, verified, findings: reported, measured });
}

function printForPeople(verdict: Verdict, { assurance, findings, measured }: AttestationResult): void {
  const shown = assurance === undefined ? 'what kind of TPM is not known' : `assurance: ${assurance}`;
  printLine(`${styled(COLOURS[verdict], verdict)}  (${shown}; ${measured} measurements proven)`);
  for (const { code, message } of findings) {
    printLine(`  ${FINDINGS[code].severity.padEnd(9)}  ${code.padEnd(22)}  ${escapeControls(message)}`);
  }
}
