/** `assay boot convert`: between TCG event logs and canonical event logs. */
import type { Command } from 'commander';
import {
  bootLogFromCel,
  type CelRecord,
  celForm,
  celFromBootLog,
  celFromImaEntries,
  type EventDigest,
  encodeBootLog,
  encodeCel,
  isCcLog,
  parseCel,
} from '../boot/index.ts';
import { type DigestAlgorithm, digest, digestInfo } from '../bytes/index.ts';
import {
  detectListForm,
  FORMAT_PROBE_SIZE,
  type MeasurementEntry,
  parseBanks,
  parseMeasurementList,
} from '../ima/index.ts';
import { bootLogOf, MACHINE_BOOT_LOG, readBootLogFile } from './boot-log-input.ts';
import { inFile } from './in-file.ts';
import { printJson } from './terminal.ts';
import { UsageError } from './usage-error.ts';
import { writeOutput } from './write-output.ts';

/** IMA lists grow as long as the machine runs. */
const MAX_LIST_SIZE = 64 * 1024 * 1024;

const TARGETS = ['cel-json', 'cel-tlv', 'log'] as const;
type Target = (typeof TARGETS)[number];

interface ConvertOptions {
  readonly to: string;
  readonly output: string;
  readonly ccel?: boolean;
  readonly hash: string;
  readonly json?: boolean;
}

const HELP = `
LOG is a TCG event log, a canonical event log (CEL) as JSON or TLV, systemd's tpm2-measure.log, an IMA measurement list
(binary or ASCII; to CEL alone), or the output of txt-stat; - is standard input; left out, it is ${MACHINE_BOOT_LOG}.
From a TCG event log to CEL and back gives the same bytes; only padding after the last event is left out.

Examples:
  assay boot convert /sys/kernel/security/tpm0/binary_bios_measurements --to cel-json -o boot.json
  assay boot convert boot.json --to log -o boot.bin
  assay boot convert /sys/kernel/security/ima/binary_runtime_measurements --to cel-json -o ima.json`;

export function registerConvert(boot: Command): void {
  boot
    .command('convert')
    .description('Convert a boot log or an IMA list: TCG event log, canonical event log as JSON or TLV')
    .argument('[log]', 'the log to read')
    .requiredOption('--to <form>', `one of ${TARGETS.join(', ')}`)
    .option('-o, --output <file>', 'file to write, - for standard output', '-')
    .option('--ccel', 'the log is of confidential computing: its indices are registers (RTMR + 1), not PCRs')
    .option('--hash <banks>', 'of an IMA list: PCR banks whose digests the records carry', 'sha1,sha256')
    .option('--json', 'with -o FILE: print {"records","to","bytes"}')
    .addHelpText('after', HELP)
    .action(convert);
}

function convert(path: string | undefined, options: ConvertOptions): void {
  const target = TARGETS.find((name) => name === options.to);
  if (target === undefined) throw new UsageError(`--to ${options.to} is no form`, `use one of ${TARGETS.join(', ')}`);
  if (options.json === true && options.output === '-') {
    throw new UsageError('--json and the log both go to standard output', 'name a file with -o');
  }
  const { name, bytes } = readBootLogFile(path, MAX_LIST_SIZE);
  const { records, written } = inFile(name, () => {
    const read = readRecords(bytes, options);
    return { records: read.length, written: encode(read, target) };
  });
  if (options.output === '-') process.stdout.write(written);
  else writeOutput(options.output, written);
  if (options.json === true) printJson({ records, to: target, bytes: written.length });
}

function readRecords(bytes: Buffer, options: ConvertOptions): CelRecord[] {
  const form = celForm(bytes);
  if (form !== undefined) return parseCel(bytes, form);
  if (isImaList(bytes)) return imaRecords(parseMeasurementList(bytes), parseBanks(options.hash));
  const log = bootLogOf(bytes);
  return celFromBootLog(log, options.ccel === true || isCcLog(log) ? 'cc-register' : 'pcr');
}

/** Kconfig's bounds of IMA's PCR, into which a list's first entry, boot_aggregate, goes. Firmware logs begin at 0 or 1. */
const FIRST_IMA_PCR = 8;
const LAST_IMA_PCR = 14;

function isImaList(bytes: Buffer): boolean {
  const pcr = bytes[0] ?? 0;
  try {
    const { form } = detectListForm(bytes.subarray(0, FORMAT_PROBE_SIZE));
    return form === 'ascii' || (pcr >= FIRST_IMA_PCR && pcr <= LAST_IMA_PCR);
  } catch {
    return false; // none; what it is, the parser of boot logs says
  }
}

/** Each record's digests are what the kernel extended its PCR with: ima_queue.c, ima_add_template_entry. */
function imaRecords(entries: readonly MeasurementEntry[], banks: readonly DigestAlgorithm[]): CelRecord[] {
  return celFromImaEntries(
    entries.map(({ pcr, template, templateData, violation }) => ({
      pcr,
      templateName: template,
      templateData,
      digests: banks.map((bank) => imaDigest(bank, templateData, violation)),
    })),
  );
}

function imaDigest(bank: DigestAlgorithm, templateData: Uint8Array, violation: boolean): EventDigest {
  const { tpmAlg, size } = digestInfo(bank);
  if (tpmAlg === undefined) throw new UsageError(`no TPM has a bank ${bank}`, 'name others with --hash');
  return { tpmAlg, algorithm: bank, value: violation ? Buffer.alloc(size, 0xff) : digest(bank, templateData) };
}

function encode(records: readonly CelRecord[], target: Target): Uint8Array {
  switch (target) {
    case 'cel-json':
      return encodeCel(records, 'json');
    case 'cel-tlv':
      return encodeCel(records, 'tlv');
    case 'log':
      return encodeBootLog(bootLogFromCel(records));
  }
}
