/** `assay tpm quote` and `assay tpm check-quote`: quotes in tpm2-tools' files. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { AssayError, type ExitCode, fromHex, toHex } from '../bytes/index.ts';
import {
  AK_KINDS,
  type AkKind,
  attestationKeyTemplate,
  type CheckedQuote,
  checkQuote,
  parsePcrSelection,
  type QuoteFailure,
  quoteWithNewKey,
  readPcrValues,
  readPublicFile,
  type TPMI_ALG_HASH,
  type TPML_PCR_SELECTION,
  TpmError,
  writePcrValues,
  writePublicFile,
} from '../tpm/index.ts';
import { inFile } from './in-file.ts';
import { readInput } from './read-input.ts';
import { escapeControls, formatTable, printJson, printLine, styled } from './terminal.ts';
import { addTpmOptions, demonstrationField, type TpmOptions, withTpm } from './with-tpm.ts';
import { writeOutput } from './write-output.ts';

/** The largest of these files is the PCR file, whose 64 lists take 34 KB. */
const FILE_LIMIT = 256 * 1024;
/** TPM2B_DATA. */
const MAX_QUALIFICATION = 64;
const HASHES = ['sha256', 'sha384', 'sha512'] as const;

export function registerQuoteCommands(tpm: Command): void {
  addTpmOptions(tpm.command('quote'))
    .description('Quote PCRs with a new attestation key under the endorsement key, into files of tpm2-tools')
    .requiredOption('--qualification <hex>', "the challenger's nonce, at most 64 bytes", parseQualification)
    .option('--selection <pcrs>', 'PCRs as tpm2_quote takes them', 'sha256:0,1,2,3,4,5,6,7,8,9,10')
    .addOption(new Option('--key <kind>', 'kind of the attestation key').choices(AK_KINDS).default('p256'))
    .addOption(new Option('--hash <hash>', 'hash of the signature (default: sha256; with p384 sha384)').choices(HASHES))
    .option('--public <file>', "write the key's public area here (TPM2B_PUBLIC)", 'ak.pub')
    .option('--message <file>', 'write the quote here (TPMS_ATTEST)', 'quote.msg')
    .option('--signature <file>', 'write the signature here (TPMT_SIGNATURE)', 'quote.sig')
    .option('--pcrs <file>', 'write the PCR values here', 'quote.pcrs')
    .option('--json', 'print {"public","message","signature","pcrs","qualification","check"}')
    .addHelpText('after', '\nExample:\n  assay tpm quote --selection sha256:0,1,7,10 --qualification 00112233')
    .action(makeQuote);
  tpm
    .command('check-quote')
    .description('Check a quote in files of tpm2-tools: signature, nonce, PCR values')
    .requiredOption('--public <file>', 'the attestation key: TPM2B_PUBLIC, TPMT_PUBLIC, PEM or DER')
    .requiredOption('--message <file>', 'the quote (TPMS_ATTEST)')
    .requiredOption('--signature <file>', 'the signature (TPMT_SIGNATURE)')
    .requiredOption('--pcrs <file>', 'the PCR values, as tpm2_quote --pcr writes them')
    .requiredOption('--qualification <hex>', 'the nonce that the quote must answer', parseQualification)
    .option('--selection <pcrs>', 'the PCRs that the quote must cover (default: those of the PCR file)')
    .option('--allow-sha1', 'accept SHA-1 signatures and PCR banks')
    .option('--json', 'print {"verified","failures":[{"code","detail"}],"quote"}')
    .addHelpText('after', CHECK_HELP)
    .action(runCheck);
}

const CHECK_HELP = `
Exit code 0: it verifies; 1: it does not; 2: a file is malformed.

Example:
  assay tpm check-quote --public ak.pub --message quote.msg --signature quote.sig --pcrs quote.pcrs --qualification 00112233`;

function parseQualification(text: string): Uint8Array {
  try {
    const bytes = fromHex(text, '--qualification');
    if (bytes.length <= MAX_QUALIFICATION) return bytes;
  } catch (error) {
    if (error instanceof AssayError) throw new InvalidArgumentError(error.message);
    throw error;
  }
  throw new InvalidArgumentError(`at most ${MAX_QUALIFICATION} bytes.`);
}

// --- quote ------------------------------------------------------------------------------------------------------------

interface QuoteFiles {
  readonly public: string;
  readonly message: string;
  readonly signature: string;
  readonly pcrs: string;
}

interface QuoteOptions extends TpmOptions, QuoteFiles {
  readonly qualification: Uint8Array;
  readonly selection: string;
  readonly key: AkKind;
  readonly hash?: (typeof HASHES)[number];
  readonly json?: boolean;
}

async function makeQuote(options: QuoteOptions): Promise<void> {
  const selection = parsePcrSelection(options.selection);
  const hash = options.hash ?? (options.key === 'p384' ? 'sha384' : 'sha256');
  const template = attestationKeyTemplate(options.key, hash);
  const { made, demonstration } = await withTpm(options, async (opened) => ({
    made: await quoteWithNewKey(opened.tpm, template, options.qualification, selection),
    demonstration: demonstrationField(opened),
  }));
  writeQuote(options, made);
  const check = options.key === 'rsapss2048' ? null : checkLine(options, hash);
  if (options.json === true) {
    const { public: publicFile, message, signature, pcrs } = options;
    const qualification = toHex(options.qualification);
    printJson({ public: publicFile, message, signature, pcrs, qualification, check, ...demonstration });
    return;
  }
  printLine(
    `${escapeControls(options.message)}: a quote of ${showSelection(selection)}, signed by a new ${options.key} key`,
  );
  printLine(check === null ? 'tpm2_checkquote does not check RSA-PSS.' : `Check it without Assay:\n  ${check}`);
}

const showSelection = (selection: TPML_PCR_SELECTION): string =>
  selection.map(({ hash, pcrs }) => `${hash}:${pcrs.join(',')}`).join('+');

function writeQuote(files: QuoteFiles, made: CheckedQuote): void {
  writeOutput(files.public, writePublicFile(made.area));
  writeOutput(files.message, made.message);
  writeOutput(files.signature, made.signature);
  writeOutput(files.pcrs, writePcrValues(made.pcrs));
}

/** tpm2-tools hashes the message with `-g`, whatever the signature says. */
function checkLine(options: QuoteOptions, hash: TPMI_ALG_HASH): string {
  const { public: publicFile, message, signature, pcrs } = options;
  const files = `-u ${quoted(publicFile)} -m ${quoted(message)} -s ${quoted(signature)} -f ${quoted(pcrs)}`;
  return `tpm2_checkquote ${files} -g ${hash} -q ${toHex(options.qualification)}`;
}

const quoted = (path: string): string =>
  /^[\w@%+=:,./-]+$/.test(path) ? path : `'${escapeControls(path).replaceAll("'", "'\\''")}'`;

// --- check-quote ------------------------------------------------------------------------------------------------------

interface CheckOptions extends QuoteFiles {
  readonly qualification: Uint8Array;
  readonly selection?: string;
  readonly allowSha1?: boolean;
  readonly json?: boolean;
}

function runCheck(options: CheckOptions): void {
  const { key, area } = inFile(options.public, () => readPublicFile(readFile(options.public)));
  const { failures, attestation } = checkQuote({
    message: readFile(options.message),
    signature: readFile(options.signature),
    pcrs: inFile(options.pcrs, () => readPcrValues(readFile(options.pcrs))),
    key,
    qualification: options.qualification,
    acceptSha1: options.allowSha1 === true,
    ...(options.selection === undefined ? {} : { selection: parsePcrSelection(options.selection) }),
  });
  process.exitCode = exitCodeOf(failures);
  const verified = failures.length === 0;
  const isRestricted = area === undefined ? null : area.objectAttributes.restricted === true;
  if (options.json === true) {
    const { clockInfo, firmwareVersion, attested } = attestation ?? {};
    const quote =
      clockInfo === undefined || attested === undefined
        ? null
        : {
            selection: showSelection(attested.pcrSelect),
            pcrDigest: toHex(attested.pcrDigest),
            clock: Number(clockInfo.clock),
            resetCount: clockInfo.resetCount,
            restartCount: clockInfo.restartCount,
            safe: clockInfo.safe,
            firmwareVersion: `0x${(firmwareVersion ?? 0n).toString(16)}`,
          };
    printJson({ verified, failures, restrictedKey: isRestricted, quote });
    return;
  }
  printLine(verified ? styled('green', 'the quote verifies') : styled('red', 'the quote does NOT verify'));
  if (!verified) printLine(formatTable(failures.map(({ code, detail }) => [`  ${code}`, escapeControls(detail)])));
  if (verified && isRestricted === false) {
    printLine('but its key is not restricted: its holder can sign anything, quotes of other PCR values too');
  }
}

function readFile(path: string): Uint8Array {
  const bytes = readInput(path, FILE_LIMIT);
  if (bytes.length <= FILE_LIMIT) return bytes;
  throw new TpmError('tpm.argument', `${path} has more than ${FILE_LIMIT} bytes, and is no file of a quote`);
}

function exitCodeOf(failures: readonly QuoteFailure[]): ExitCode {
  if (failures.length === 0) return 0;
  return failures.some(({ code }) => code === 'quote.malformed') ? 2 : 1;
}
