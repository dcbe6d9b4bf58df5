/** `assay boot state`: Secure Boot, keys, loaders, kernel and command line, as far as PCRs and digests vouch for them. */
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { type BootLog, type BootState, bootState, logBanks, type StartedFile } from '../boot/index.ts';
import { type DigestAlgorithm, isDigestAlgorithm } from '../bytes/index.ts';
import { type PcrValues, parsePcrText } from '../ima/index.ts';
import {
  firmwareLog,
  MACHINE_BOOT_LOG,
  MACHINE_USERSPACE_LOG,
  readBootLogs,
  refuseRegisters,
  warnOf,
} from './boot-log-input.ts';
import { inFile } from './in-file.ts';
import { machinePcrs } from './machine-pcrs.ts';
import { escapeControls, printJson, printLine, styled } from './terminal.ts';
import { UsageError } from './usage-error.ts';

const HELP = `
LOG may be - for standard input; left out, it is ${MACHINE_BOOT_LOG}
with ${MACHINE_USERSPACE_LOG} behind it, and the PCR values are this machine's.
With PCR values only what they prove is told. Without any, the log is taken at its word, and that is said.
Names of files are the log's remarks, and so is which of GRUB's texts was a command line; the digests are what was measured.
All that PCRs 2, 4, 8, 9 and 11 to 14 hold is listed, or left out with the reason. Who became root can extend PCRs 8 to 15
after the boot: of two command lines one started the kernel.

Exit status: 0; 1 where a PCR contradicts the log; 2 for a bad log; 3 where Secure Boot's state cannot be told, or something
that was started or read is not explained by the log.

Examples:
  assay boot state
  tpm2_pcrread > pcrs.txt && assay boot state boot.log --pcrs pcrs.txt --json`;

interface Options {
  readonly pcrs?: string;
  readonly bank?: string;
  readonly json?: boolean;
}

export function registerState(boot: Command): void {
  boot
    .command('state')
    .description(
      'Tell the state that a boot left: Secure Boot and its keys, loaders, kernel, command line, debug modes',
    )
    .argument('[log]', 'event log: SHA-1 or crypto-agile format')
    .option('--pcrs <file>', "PCR values: tpm2_pcrread's output, the TPM 1.2 driver's file pcrs, or JSON")
    .addOption(new Option('--bank <algorithm>', 'left out: sha256 where the log has it, else the strongest'))
    .option(
      '--json',
      'print {"bank","provenPcrs","secureBoot","keys","authorities","kernel","commandLine","leftOut",…}',
    )
    .addHelpText('after', HELP)
    .action(state);
}

function state(path: string | undefined, options: Options): void {
  const logs = readBootLogs(path);
  const log = firmwareLog(logs, path);
  refuseRegisters(log, path);
  const { pcrs } = options;
  const values =
    pcrs === undefined
      ? path === undefined
        ? machinePcrs()
        : undefined
      : inFile(pcrs, () => parsePcrText(readFileSync(pcrs, 'utf8')));
  const bank = bankOf(log, options.bank, values);
  const found = bootState(log, bank, values?.[bank], logs.userspace);
  const codes = new Set(found.leftOut.map(({ code }) => code));
  if (codes.has('contradicted') || codes.has('untold')) process.exitCode = 1;
  else if (found.secureBoot.state === 'unknown' || codes.has('unexplained')) process.exitCode = 3;
  warnOf(logs);
  if (options.json === true) printJson(found);
  else printState(found);
}

function bankOf(log: BootLog, asked: string | undefined, values: PcrValues | undefined): DigestAlgorithm {
  const known = (bank: DigestAlgorithm): boolean => values === undefined || values[bank] !== undefined;
  if (asked !== undefined) {
    if (!isDigestAlgorithm(asked)) throw new UsageError(`--bank ${asked}: no digest algorithm`, 'write sha256');
    if (!known(asked)) throw new UsageError(`no ${asked} values were given`, 'give those of the bank');
    return asked;
  }
  const banks = logBanks(log).filter(known);
  const bank = banks.find((one) => one === 'sha256') ?? banks.at(-1);
  if (bank !== undefined) return bank;
  throw new UsageError('the PCR values are of no bank of the log', `the log has ${logBanks(log).join(', ')}`);
}

function printState(found: BootState): void {
  const { secureBoot, provenPcrs, keys, debug } = found;
  const colour = secureBoot.state === 'on' ? 'green' : 'yellow';
  printLine(`Secure Boot  ${styled(colour, secureBoot.state)}: ${secureBoot.why}`);
  for (const [name, held] of Object.entries(keys)) printList(name, held ?? []);
  printList('accepted by', found.authorities);
  printList('drivers', found.drivers.map(fileLine));
  printList('started', found.applications.map(fileLine));
  printList('kernel', found.kernel.map(fileLine));
  printList('initrd', found.initrd.map(fileLine));
  printList('command line', [...found.commandLine, ...found.commandLineDigests.map(fileLine)]);
  const loading = found.commands.filter((command) => LOADS.test(command));
  const { length } = found.commands;
  printList('GRUB ran', length === 0 ? [] : [...loading.slice(0, LISTED - 1), `${length} commands, all in --json`]);
  printList('also read', found.files.map(fileLine));
  if (debug.shimValidationDisabled)
    printLine(styled('red', 'Validation by shim was switched off (MokSBState): what it started was not verified'));
  if (debug.firmwareDebugger) printLine(styled('red', 'A firmware debugger was active'));
  if (debug.dmaProtectionDisabled) printLine(styled('red', 'Protection against DMA was disabled'));
  printLine(
    provenPcrs === undefined
      ? 'No PCR values were given: this is what the log says.'
      : `Proven by PCRs ${provenPcrs.join(', ') || 'none'} (${found.bank}).`,
  );
  for (const { index, pcr, reason } of found.leftOut) {
    const where = index === undefined ? `PCR ${pcr}` : `PCR ${pcr}, event ${index}`;
    printLine(`${styled('yellow', 'left out')}  ${where}: ${escapeControls(reason)}`);
  }
}

/** What starts something, or reads like a command line. */
const LOADS =
  /^(?!menuentry|submenu)(?:.*vmlinu|.*root=(?:PART|UUID|\/)|linux|initrd|chainloader|multiboot|module|\/)/i;

const NAME_WIDTH = 13;
const LISTED = 8;

function printList(name: string, lines: readonly string[]): void {
  const shown = lines.slice(0, LISTED);
  for (const [i, line] of shown.entries()) {
    printLine(`${(i === 0 ? name : '').padEnd(NAME_WIDTH)}${escapeControls(line)}`);
  }
  if (lines.length > LISTED) printLine(`${' '.repeat(NAME_WIDTH)}and ${lines.length - LISTED} more`);
}

const fileLine = ({ name, digest, pcr }: StartedFile): string => `${name}  ${digest} (PCR ${pcr})`;
