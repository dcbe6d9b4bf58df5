/** `assay boot diff`: what changed between two boots, or from what a reference approves. */
import type { Command } from 'commander';
import { type BootChange, type BootLog, compareBoots, logBanks } from '../boot/index.ts';
import { type DigestAlgorithm, isDigestAlgorithm } from '../bytes/index.ts';
import { MAX_MANIFEST_BYTES, parseBootReference } from '../reference/index.ts';
import { FINDINGS, type Finding, judgeBootComponents } from '../verify/index.ts';
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
    .option('--json', 'print {"changes":[{"code","severity","pcrs","message","from","to","inWhoseName","advice"}]}')
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
  report(compareBoots(a, b, bank), options);
}

function parseBank(bank: string | undefined): DigestAlgorithm | undefined {
  if (bank === undefined || isDigestAlgorithm(bank)) return bank;
  throw new UsageError(`--bank ${bank}: no digest algorithm`, 'write sha256');
}

type Told = Pick<BootChange, 'severity' | 'message' | 'pcrs' | 'from' | 'to' | 'inWhoseName' | 'advice'> & {
  readonly code: string;
};

/** Every PCR that the log extends is compared: there is no quote here that proves some. */
function fromReference(log: BootLog, path: string, bank = logBanks(log).at(-1)): Told[] {
  const boot = inFile(path, () => parseBootReference(readInput(path, MAX_MANIFEST_BYTES).toString('utf8')));
  const components = boot?.components ?? [];
  if (components.length === 0) {
    throw new UsageError(`${path}: this reference has no boot components`, 'make them with assay boot reference');
  }
  if (bank === undefined) throw new UsageError('the log has no bank that can be computed', 'give --bank');
  const all = new Set(log.events.map(({ pcr }) => pcr));
  return judgeBootComponents(components, log, bank, all).flatMap(toldFinding);
}

function toldFinding({ code, subject, message, expected, found }: Finding): Told[] {
  const pcr = Number(/^PCR (\d+)$/.exec(subject)?.[1]);
  const { severity, advice } = FINDINGS[code];
  return [
    {
      code,
      severity: SEVERITIES[severity],
      message,
      pcrs: Number.isInteger(pcr) ? [pcr] : [],
      from: expected === undefined ? [] : [expected],
      to: found === undefined ? [] : [found],
      inWhoseName: [],
      advice,
    },
  ];
}

const SEVERITIES = { untrusted: 'alarm', unknown: 'warning', warning: 'warning', info: 'info' } as const;

function report(changes: readonly Told[], { json }: Options): void {
  if (changes.some(({ code }) => code !== 'boot.component-left-out')) process.exitCode = 1;
  if (json === true) {
    printJson({ changes });
    return;
  }
  if (changes.length === 0) printLine('nothing differs');
  for (const change of changes) printChange(change);
}

const STYLES = { alarm: 'red', warning: 'yellow', info: 'dim' } as const;

function printChange({ severity, code, pcrs, message, from, to, inWhoseName, advice }: Told): void {
  const [title] = message.split('; ', 1);
  printLine(
    `${styled(STYLES[severity], severity)}  ${escapeControls(title ?? message)}  [${code}, PCR ${pcrs.join(', ')}]`,
  );
  for (const one of from) printLine(`  - ${escapeControls(one)}`);
  for (const one of to) printLine(`  + ${escapeControls(one)}`);
  if (inWhoseName.length > 0) printLine(`  vouched for by ${escapeControls(inWhoseName.join('; '))}`);
  printLine(`  ${advice}`);
}
