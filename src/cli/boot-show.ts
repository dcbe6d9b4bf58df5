/** `assay boot show`: a boot told stage by stage. */
import { type Command, Option } from 'commander';
import {
  type BootLog,
  type BootLogs,
  bootWarnings,
  ccRegister,
  type DecodedEvent,
  decodeLog,
  isCcLog,
  logBanks,
  replayBoot,
  replayCcLog,
  type StoryChapter,
  tellBoot,
  tellCcBoot,
  tellUserspace,
  tpm2EventlogYaml,
} from '../boot/index.ts';
import { toHex } from '../bytes/index.ts';
import {
  firmwareLog,
  MACHINE_BOOT_LOG,
  MACHINE_CC_LOG,
  MACHINE_USERSPACE_LOG,
  readBootLogs,
  warnOf,
} from './boot-log-input.ts';
import { warnOfStrays } from './boot-registers.ts';
import { escapeControls, printJson, printLine, styled } from './terminal.ts';
import { UsageError } from './usage-error.ts';

const HELP = `
LOG may be - for standard input; left out, it is ${MACHINE_BOOT_LOG}
with ${MACHINE_USERSPACE_LOG} behind it,
or under confidential computing ${MACHINE_CC_LOG}, whose events stand under registers.
A dynamic launch's is /sys/kernel/security/slaunch/eventlog (Linux Secure Launch), or what txt-stat prints (tboot).

Before each line: ✓ the event's digest is over what is shown; · it is over something else (a file, firmware), and what is
shown is a mere remark; ! the event contradicts itself. That the TPM holds these digests is not said here: compare
\`assay boot replay\` with the PCRs.

--format tpm2 prints the YAML of tpm2_eventlog 5.4, for programs that read it, with PCRs that respect StartupLocality.

Example:
  assay boot show
  assay boot show boot.log --format tpm2 --eventlog-version 2
  assay boot show boot.log --json`;

interface Options {
  readonly json?: boolean;
  readonly format: 'text' | 'json' | 'tpm2';
  readonly eventlogVersion: '1' | '2';
  readonly ccel?: boolean;
}

export function registerShow(boot: Command): void {
  boot
    .command('show')
    .description('Tell a boot from its event log: what was measured, stage by stage')
    .argument('[log]', 'event log: SHA-1 or crypto-agile format, CCEL, CEL, systemd’s, txt-stat’s output')
    .option(
      '--json',
      'print {"format","banks","events","userspace","story","pcrs","warnings"}, of a CCEL "registers" for "pcrs"',
    )
    .addOption(new Option('--format <format>', 'how to print it').choices(['text', 'json', 'tpm2']).default('text'))
    .addOption(
      new Option('--eventlog-version <version>', "of tpm2_eventlog's YAML; 2 takes more payloads apart")
        .choices(['1', '2'])
        .default('1'),
    )
    .option('--ccel', 'the log’s indices are registers of confidential computing, also where it does not look so')
    .addHelpText('after', HELP)
    .action((path: string | undefined, options: Options) => show(path, options));
}

function show(path: string | undefined, options: Options): void {
  const logs = readBootLogs(path);
  const isCc = logs.firmware !== undefined && (options.ccel === true || isCcLog(logs.firmware));
  const isTpm2 = options.json !== true && options.format === 'tpm2';
  if (isTpm2 && isCc) throw new UsageError('tpm2_eventlog’s YAML has PCRs, and this log registers', 'use --json');
  if (isTpm2) {
    printTpm2(firmwareLog(logs, path), options.eventlogVersion === '2' ? 2 : 1);
    return;
  }
  const { events, story } = told(logs, isCc);
  const whole = [...story, ...tellUserspace(logs.userspace)];
  if (options.json === true || options.format === 'json') printJson(asJson(logs, events, whole, isCc));
  else printStory(logs, whole, isCc);
}

function told({ firmware }: BootLogs, isCc: boolean): ReturnType<typeof tellCcBoot> {
  if (firmware === undefined) return { events: [], story: [] };
  if (isCc) return tellCcBoot(firmware);
  const events = decodeLog(firmware);
  return { events, story: tellBoot(events) };
}

/** The tool's own warning, where it belongs: standard output is for programs. */
function printTpm2(log: BootLog, version: 1 | 2): void {
  warnOf({ firmware: log, userspace: [] });
  for (const { index, vouched } of decodeLog(log)) {
    if (vouched === 'differs') process.stderr.write(`warning: event ${index}'s digest does not match its payload\n`);
  }
  for (const piece of tpm2EventlogYaml(log, version)) process.stdout.write(piece);
}

/** Integers of 64 bits as `0x…`, bytes as hex. */
function asJson(
  logs: BootLogs,
  events: readonly DecodedEvent[],
  story: readonly StoryChapter[],
  isCc: boolean,
): unknown {
  const { firmware, userspace } = logs;
  return plain({
    format: firmware?.format ?? 'systemd',
    banks: firmware === undefined ? [] : logBanks(firmware),
    events: events.map((event, i) => ({ ...event, digests: digestsOf(firmware, i) })),
    userspace: userspace.map(({ digests, ...record }) => ({
      ...record,
      digests: Object.fromEntries(digests.map(({ algorithm, value }) => [algorithm, toHex(value)])),
    })),
    story,
    ...(isCc && firmware !== undefined ? replayCcLog(firmware) : { pcrs: replayBoot(logs) }),
    warnings: bootWarnings(logs),
  });
}

function digestsOf(log: BootLog | undefined, index: number): Readonly<Record<string, string>> {
  const digests = log?.events[index]?.digests ?? [];
  return Object.fromEntries(
    digests.map(({ algorithm, tpmAlg, value }) => [algorithm ?? `0x${tpmAlg.toString(16)}`, toHex(value)]),
  );
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]));
}

const MARKS = {
  digest: styled('green', '✓'),
  'no-payload-rule': '·',
  differs: styled('red', '!'),
} as const;

function printStory(logs: BootLogs, story: readonly StoryChapter[], isCc: boolean): void {
  const { firmware, userspace } = logs;
  const label = isCc ? registerLabel : pcrLabel;
  if (isCc && firmware !== undefined) warnOfStrays(replayCcLog(firmware));
  else warnOf(logs);
  if (firmware === undefined) printLine(`systemd’s log, ${userspace.length} records`);
  else {
    const form = isCc ? 'confidential-computing' : firmware.format === 'agile' ? 'crypto-agile' : 'SHA-1';
    printLine(`${form} log, ${firmware.events.length} events, banks ${logBanks(firmware).join(', ')}`);
  }
  for (const { title, notes, lines } of story) {
    printLine();
    printLine(styled('bold', title));
    for (const note of notes) printLine(`  ${note}`);
    for (const { pcr, vouched, text, details } of lines) {
      printLine(`${MARKS[vouched]} ${label(pcr)}  ${escapeControls(text)}`);
      for (const detail of details) printLine(`           ${escapeControls(detail)}`);
    }
  }
}

function registerLabel(index: number): string {
  return (ccRegister(index) ?? `index ${index}`).padEnd(6);
}

function pcrLabel(pcr: number): string {
  return pcr > 23 ? 'no PCR' : `PCR ${String(pcr).padEnd(2)}`;
}
