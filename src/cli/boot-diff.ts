/** `assay boot diff`: what changed between two boots, or from what a reference approves. */
import type { Command } from 'commander';
import { type BootChange, type BootLog, compareBoots, logBanks } from '../boot/index.ts';
import { type DigestAlgorithm, isDigestAlgorithm } from '../bytes/index.ts';
import { changesFromReference, comparableBank, MAX_MANIFEST_BYTES, parseBootReference } from '../reference/index.ts';
import { MACHINE_BOOT_LOG, readPcrLog } from './boot-log-input.ts';
import { inFile } from './in-file.ts';
import { readInput } from './read-input.ts';
import { escapeControls, printJson, printLine, styled } from './terminal.ts';
import { UsageError } from './usage-error.ts';

const HELP = `
BEFORE and AFTER are event logs of one machine; AFTER left out is ${MACHINE_BOOT_LOG}.
With --reference the one log that is given, or this machine's, is compared with boot components: a manifest's, or what \`assay boot reference\` wrote.
The logs are taken at their word: that a TPM holds what they say, compare \`assay boot replay\` or \`assay boot state\`.

Exit status: 0 where nothing differs, 1 where something does, 2 for a bad log.

Examples:
  assay boot diff yesterday.log
  assay boot diff before-update.log after-update.log --json
  assay boot diff boot.log --reference web-servers.json`;

interface Options {
  readonly reference?: string;
  readonly bank?: string;
  readonly json?: boolean;
}

export function registerDiff(boot: Command): void {
  boot
    .command('diff')
    .description('Name what changed between two boots: firmware, kernel, command line, Secure Boot keys, …')
    .argument('[before]', 'event log of the earlier boot')
    .argument('[after]', 'event log of the later boot')
    .option('--reference <file>', 'compare one log with the components that this reference approves')
    .option('--bank <algorithm>', 'compare by these digests; left out: the strongest that both logs have')
    .option(
      '--json',
      'print {"changes":[{"code","severity","pcrs","message","from","to","inWhoseName","advice"}]}, of a reference "leftOut" too',
    )
    .addHelpText('after', HELP)
    .action(diff);
}

function diff(before: string | undefined, after: string | undefined, options: Options): void {
  const bank = parseBank(options.bank);
  if (options.reference !== undefined) {
    if (after !== undefined) throw new UsageError('--reference is compared with one log', 'give one');
    report(fromReference(readPcrLog(before), options.reference, bank), options);
    return;
  }
  if (before === undefined) throw new UsageError('nothing to compare this boot with', 'give BEFORE, or --reference');
  if (before === '-' && after === '-')
    throw new UsageError('standard input holds one log', 'give a file for the other');
  const [a, b] = [readPcrLog(before), readPcrLog(after)];
  report({ changes: compareBoots(a, b, bank) }, options);
}

function parseBank(bank: string | undefined): DigestAlgorithm | undefined {
  if (bank === undefined || isDigestAlgorithm(bank)) return bank;
  throw new UsageError(`--bank ${bank}: no digest algorithm`, 'write sha256');
}

function fromReference(log: BootLog, path: string, asked: DigestAlgorithm | undefined): Report {
  const boot = inFile(path, () => parseBootReference(readInput(path, MAX_MANIFEST_BYTES).toString('utf8')));
  const components = boot?.components ?? [];
  if (components.length === 0) {
    throw new UsageError(`${path}: this reference has no boot components`, 'make them with assay boot reference');
  }
  const bank = asked ?? comparableBank(components, log);
  if (bank === undefined) {
    throw new UsageError(`${path}: its digests are of no bank of the log`, `the log has ${logBanks(log).join(', ')}`);
  }
  const leftOut = components.flatMap(({ name, anything }) =>
    anything === undefined ? [] : [{ component: name, why: anything }],
  );
  return { changes: changesFromReference(components, log, bank), leftOut };
}

interface Report {
  readonly changes: readonly BootChange[];
  /** Components of the reference that it does not judge. */
  readonly leftOut?: readonly { readonly component: string; readonly why: string }[];
}

function report({ changes, leftOut = [] }: Report, { json, reference }: Options): void {
  if (changes.length > 0) process.exitCode = 1;
  if (json === true) {
    printJson({ changes, ...(reference === undefined ? {} : { leftOut }) });
    return;
  }
  if (changes.length === 0) printLine('nothing differs');
  for (const change of changes) printChange(change);
  for (const { component, why } of leftOut) printLine(escapeControls(`not judged: ${component}: ${why}`));
}

const STYLES = { alarm: 'red', warning: 'yellow', info: 'dim' } as const;

function printChange({ severity, code, pcrs, message, from, to, inWhoseName, advice }: BootChange): void {
  // What went and came stands in lines of its own.
  const [title] = message.split(/; (?:gone|new): /, 1);
  printLine(
    `${styled(STYLES[severity], severity)}  ${escapeControls(title ?? message)}  [${code}, PCR ${pcrs.join(', ')}]`,
  );
  printSide('-', from);
  printSide('+', to);
  if (inWhoseName.length > 0) printLine(`  vouched for by ${escapeControls(inWhoseName.join('; '))}`);
  printLine(`  ${advice}`);
}

const MAX_LINES = 12;

function printSide(sign: string, all: readonly string[]): void {
  for (const one of all.slice(0, MAX_LINES)) printLine(`  ${sign} ${escapeControls(one)}`);
  if (all.length > MAX_LINES) printLine(`  ${sign} and ${all.length - MAX_LINES} more`);
}
