/** `assay boot convert`: between TCG event logs and canonical event logs. */
import type { Command } from 'commander';
import {
  bootLogFromCel,
  type CelRecord,
  celForm,
  celFromBootLog,
  encodeBootLog,
  encodeCel,
  parseCel,
} from '../boot/index.ts';
import { bootLogOf, MACHINE_BOOT_LOG, readBootLogFile } from './boot-log-input.ts';
import { inFile } from './in-file.ts';
import { printJson } from './terminal.ts';
import { UsageError } from './usage-error.ts';
import { writeOutput } from './write-output.ts';

const TARGETS = ['cel-json', 'cel-tlv', 'log'] as const;
type Target = (typeof TARGETS)[number];

interface ConvertOptions {
  readonly to: string;
  readonly output: string;
  readonly ccel?: boolean;
  readonly json?: boolean;
}

const HELP = `
LOG is a TCG event log, a canonical event log (CEL) as JSON or TLV, systemd's tpm2-measure.log, or the output of
txt-stat; - is standard input; left out, it is ${MACHINE_BOOT_LOG}.
From a TCG event log to CEL and back gives the same bytes; only padding after the last event is left out.

Examples:
  assay boot convert /sys/kernel/security/tpm0/binary_bios_measurements --to cel-json -o boot.json
  assay boot convert boot.json --to log -o boot.bin`;

export function registerConvert(boot: Command): void {
  boot
    .command('convert')
    .description('Convert a boot log: TCG event log, canonical event log as JSON or TLV')
    .argument('[log]', 'the log to read')
    .requiredOption('--to <form>', `one of ${TARGETS.join(', ')}`)
    .option('-o, --output <file>', 'file to write, - for standard output', '-')
    .option('--ccel', 'the log is of confidential computing: its indices are registers (RTMR + 1), not PCRs')
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
  const { name, bytes } = readBootLogFile(path);
  const { records, written } = inFile(name, () => {
    const read = readRecords(bytes, options.ccel === true);
    return { records: read.length, written: encode(read, target) };
  });
  if (options.output === '-') process.stdout.write(written);
  else writeOutput(options.output, written);
  if (options.json === true) printJson({ records, to: target, bytes: written.length });
}

function readRecords(bytes: Buffer, isCcel: boolean): CelRecord[] {
  const form = celForm(bytes);
  if (form !== undefined) return parseCel(bytes, form);
  return celFromBootLog(bootLogOf(bytes), isCcel ? 'cc-register' : 'pcr');
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
