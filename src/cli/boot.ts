/** `assay boot`: what the firmware measured. */
import type { Command } from 'commander';
import { parseBootLog, type ReplayedPcrs, replayBootLog } from '../boot/index.ts';
import { ParseError } from '../bytes/index.ts';
import { inFile } from './in-file.ts';
import { readInput } from './read-input.ts';
import { formatTable, printJson, printLine } from './terminal.ts';

/** Firmware tables hold some hundred KiB; a bound, so that a wrong path does not fill the memory. */
const MAX_LOG_SIZE = 64 * 1024 * 1024;

const REPLAY_EXAMPLE = `
LOG may be - for standard input.

Example:
  assay boot replay /sys/kernel/security/tpm0/binary_bios_measurements --json`;

export function register(program: Command): void {
  const boot = program.command('boot').description('Boot logs: what firmware and boot loader measured');
  boot.addHelpText('after', '\nExample:\n  assay boot replay /sys/kernel/security/tpm0/binary_bios_measurements');
  boot
    .command('replay')
    .description('Replay a TCG event log: the PCR values that it adds up to')
    .argument('<log>', 'event log in the SHA-1 or the crypto-agile format')
    .option('--json', 'print {"format","events","pcrs"}')
    .addHelpText('after', REPLAY_EXAMPLE)
    .action((path: string, options: { json?: boolean }) => replay(path, options.json === true));
}

function replay(path: string, asJson: boolean): void {
  const bytes = readInput(path, MAX_LOG_SIZE);
  if (bytes.length > MAX_LOG_SIZE) {
    throw new ParseError('parse.too-large', path, MAX_LOG_SIZE, `more than ${MAX_LOG_SIZE} bytes`);
  }
  const { log, pcrs } = inFile(path, () => {
    const parsed = parseBootLog(bytes);
    return { log: parsed, pcrs: replayBootLog(parsed) };
  });
  if (asJson) {
    printJson({ format: log.format, events: log.events.length, pcrs });
  } else {
    printLine(`${log.format === 'agile' ? 'crypto-agile' : 'SHA-1'} log, ${log.events.length} events`);
    printLine(pcrTable(pcrs));
  }
}

/** One line for each PCR of each bank, as tables of the field have it. */
export function pcrTable(pcrs: ReplayedPcrs): string {
  return formatTable(
    Object.entries(pcrs).flatMap(([bank, values]) =>
      Object.entries(values).map(([pcr, value]) => [bank, pcr.padStart(3), value]),
    ),
  );
}
