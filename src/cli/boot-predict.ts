/** `assay boot predict`: the PCR values of the next boot. */
import { createPrivateKey } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import {
  appendedVariable,
  type BootFile,
  type BootLog,
  DEFAULT_PHASES,
  logBanks,
  measurementDigest,
  type Prediction,
  predictBoot,
  predictUki,
  replayBootLog,
  sealingPolicy,
  signPolicies,
} from '../boot/index.ts';
import { AssayError, type DigestAlgorithm } from '../bytes/index.ts';
import { encodePolicyFile } from '../keys/index.ts';
import { BootMerger, type BootReference, predictedEvents } from '../reference/index.ts';
import { policyDigest } from '../tpm/index.ts';
import { MACHINE_BOOT_LOG, readPcrLog } from './boot-log-input.ts';
import { needed, read, WAYS, type WayOptions, waysOf } from './boot-predict-ways.ts';
import { machinePcrs } from './machine-pcrs.ts';
import { parsePcrs } from './parse-pcrs.ts';
import { escapeControls, formatTable, printJson, printLine } from './terminal.ts';
import { UsageError } from './usage-error.ts';
import { variableData } from './variable-file.ts';
import { writeOutput } from './write-output.ts';

const BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
type Bank = (typeof BANKS)[number];
const DEFAULT_BANK = 'sha256' satisfies Bank;
/** `(hd0,gpt1)`: where GRUB finds the disk that firmware booted it from, if that is the first. */
const FIRST_PARTITION = '(hd0,gpt1)';

interface Options extends WayOptions {
  readonly base?: string;
  readonly gpt?: string;
  readonly phase?: readonly string[];
  readonly variable?: readonly string[];
  readonly bank?: Bank;
  readonly pcrs?: number[];
  readonly format: 'values' | 'reference' | 'signed' | 'policy';
  readonly privateKey?: string;
  readonly policyFile?: string;
  readonly json?: boolean;
}

interface Variant {
  readonly name: string;
  readonly prediction: Prediction;
}

const HELP = `
WAY is shim-grub, grub, systemd-boot, uki or qemu-kernel. The firmware's own part comes from --base, a log of the same machine
booted in the same way; without it, only what the loaders extend is predicted. A PCR that does not follow for certain is
left out, with the reason.

shim-grub and grub follow GRUB through its configuration, as grub-mkconfig writes it: each command that it runs (PCR 8) and each
file that it reads (PCR 9). GRUB's saved environment is taken as it lies there. It boots the default entry; --entry names
others as grub-reboot does ('1>0', an id or a title), '--entry every' gives a variant for each that starts Linux.
--variable takes what a Secure Boot variable will hold: signature lists (.esl), a signed update (.auth) or a file of
efivarfs. Updates of dbx as fwupd and Windows bring them are appended: dbx+=FILE. Where Secure Boot is switched, SecureBoot (one byte), PK, KEK and db together. --gpt takes the disk that the
firmware starts from (OVMF measures the table of that one alone).
systemd-boot without --entry gives a variant for each entry and image on the partition.

Examples:
  assay boot predict shim-grub --esp /boot/efi --loader EFI/debian/shimx64.efi --grub EFI/debian/grubx64.efi \\
    --disk '(hd0,gpt2),5a5a0e10-0000-4000-8000-000000000005=/' --entry every \\
    --base /sys/kernel/security/tpm0/binary_bios_measurements
  assay boot predict systemd-boot --esp /boot --entry EFI/Linux/new.efi --base LOG --json
  assay boot predict qemu-kernel --kernel vmlinuz --initrd initrd --memory 2048 \\
    --cmdline-file /etc/kernel/cmdline --base LOG
  assay boot predict uki --uki new.efi --format signed --private-key key.pem
  assay boot predict systemd-boot --esp /boot --base LOG --json > next.json && \\
    assay key reseal kmk.blob --pcrs sha256:4,7,11 --pcr-values next.json --now`;

const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];

export function registerPredict(boot: Command): void {
  boot
    .command('predict')
    .description('Predict the PCR values of a boot from the files that it will load')
    .argument('<way>', WAYS.join(', '))
    .option('--base <log>', 'event log of this machine, booted in this way')
    .option('--esp <folder>', 'the partition that loaders and their files lie on')
    .option(
      '--loader <path>',
      'what the firmware starts (shim, systemd-boot), on that partition',
      'EFI/BOOT/BOOTX64.EFI',
    )
    .option('--grub <path>', 'GRUB, on that partition; left out: grubx64.efi beside the loader')
    .option('--device <device>', "GRUB's name of that partition", FIRST_PARTITION)
    .option(
      '--disk <device[,uuid]=folder>',
      'further partition that GRUB sees, by its name and UUID there, and where it is mounted',
      collect,
    )
    .addOption(new Option('--display <yes|no>', 'whether the firmware has a display').choices(['yes', 'no']))
    .option(
      '--entry <entry>',
      "path of a UKI or type 1 entry that systemd-boot starts; or GRUB's menu entry; 'every'; several are several variants",
      collect,
    )
    .option('--uki <file>', 'unified kernel image, for way uki')
    .option('--kernel <file>', 'kernel, for way qemu-kernel')
    .option('--initrd <file>', 'initrd, for way qemu-kernel')
    .option('--cmdline <text>', 'whole command line, for way qemu-kernel')
    .option('--cmdline-file <file>', 'file with that command line, as /etc/kernel/cmdline')
    .option('--memory <MiB>', "QEMU's memory (-m), for way qemu-kernel with an initrd, whose place follows from it")
    .option('--mok-list <file>', "data of shim's variable MokList, where the machine's owner has keys")
    .option('--mok-list-x <file>', 'and of MokListX, of revoked ones')
    .option('--gpt <disk>', 'disk that the firmware starts from, or its image, where its partitions change')
    .option(
      '--variable <name=file>',
      "new data of a Secure Boot variable ('db=new-db'), or what is appended to it ('dbx+=update')",
      collect,
    )
    .option('--phase <path>', 'boot phases for PCR 11, as of systemd-measure; several are several variants', collect)
    .addOption(new Option('--bank <bank>', `left out: ${DEFAULT_BANK}; of signed policies, every bank`).choices(BANKS))
    .option('--pcrs <list>', 'PCRs of a policy or reference', parsePcrs)
    .addOption(
      new Option(
        '--format <format>',
        'PCR values, reference (boot section, as of boot reference), signed policies of systemd-measure, or the digest to seal to',
      )
        .choices(['values', 'reference', 'signed', 'policy'])
        .default('values'),
    )
    .option('--private-key <pem>', 'signs the policies')
    .option(
      '--policy-file <file>',
      'with --format policy: write what the digest stands for, as key unseal --policy reads it',
    )
    .option(
      '--json',
      'print {"variants":[{"name","pcrs","refusals","warnings","measurements"}],"skipped":[{"name","reason"}]}',
    )
    .addHelpText('after', HELP)
    .action((way: string, options: Options) => predict(way, options));
}

function predict(way: string, options: Options): void {
  const { variants, skipped } = variantsOf(way, options);
  if (variants.length === 0)
    throw new UsageError(
      `no entry can be predicted; ${skipped[0]?.name}: ${skipped[0]?.reason}`,
      'name one with --entry',
    );
  if (options.format !== 'values')
    for (const { name, reason } of skipped)
      process.stderr.write(`${escapeControls(`warning: left out: ${name}: ${reason}`)}\n`);
  if (options.format === 'reference') printJson(referenceOf(variants, options));
  else if (options.format === 'signed') printJson(signed(variants, options));
  else if (options.format === 'policy') printPolicy(variants, options);
  else if (options.json === true)
    printJson({ variants: variants.map((variant) => shown(variant, options.bank ?? DEFAULT_BANK)), skipped });
  else {
    printVariants(variants, options.bank ?? DEFAULT_BANK);
    for (const { name, reason } of skipped) printLine(escapeControls(`${name}\nnot predicted: ${reason}`, true));
  }
}

interface Outcome {
  readonly variants: readonly Variant[];
  /** Entries that were found and start nothing that can be predicted: other systems, the firmware's screens. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
}

/** As systemd-measure signs: which banks the machine has need not be known. */
function banksOf({ bank, format }: Options): readonly DigestAlgorithm[] {
  return bank === undefined && format === 'signed' ? BANKS : [bank ?? DEFAULT_BANK];
}

/** This machine's own log must lead to what its TPM holds: else nothing that is taken from it will be so again. */
function notOfThisMachine(base: BootLog, { base: path, bank = DEFAULT_BANK }: Options): string[] {
  const held = path === MACHINE_BOOT_LOG ? machinePcrs()?.[bank] : undefined;
  if (held === undefined || !logBanks(base).includes(bank)) return [];
  const replayed = replayBootLog(base, [bank])[bank] ?? {};
  const others = FIRMWARE_PCRS.filter((pcr) => replayed[pcr] !== undefined && replayed[pcr] !== held[pcr]);
  return others.length === 0
    ? []
    : [`base log: it does not lead to this TPM’s PCR ${others.join(', ')}: what is predicted of these will not be so`];
}

/** From 10 on the running system extends. */
const FIRMWARE_PCRS = Array.from({ length: 10 }, (_, pcr) => pcr);

/** systemd measures phases where a stub of its own has measured the image. */
const HAS_PHASES: ReadonlySet<string> = new Set(['uki', 'systemd-boot']);

function variantsOf(way: string, options: Options): Outcome {
  const phases = options.phase ?? [''];
  if (options.phase !== undefined && !HAS_PHASES.has(way))
    throw new UsageError(`--phase is about PCR 11, which way ${way} does not extend`, 'leave it out');
  const banks = banksOf(options);
  if (way === 'uki' && options.base === undefined) {
    const file = read(needed(options.uki, '--uki'));
    const paths = options.phase ?? DEFAULT_PHASES;
    const named = (path: string): string => `${basename(file.name)} ${path}`;
    return {
      variants: paths.map((path) => ({ name: named(path), prediction: predictUki(file, banks, path) })),
      skipped: [],
    };
  }
  const base = options.base === undefined ? undefined : readPcrLog(options.base);
  const inBase = base === undefined ? banks : banks.filter((bank) => logBanks(base).includes(bank));
  const doubts = base === undefined ? [] : notOfThisMachine(base, options);
  const variables = Object.fromEntries((options.variable ?? []).map((text) => variableOf(text, base)));
  const disk = options.gpt === undefined ? {} : { disk: beginningOf(options.gpt) };
  const variants: Variant[] = [];
  const skipped: { name: string; reason: string }[] = [];
  const found = waysOf(way, options, base, variables);
  for (const { name, boot, isFound } of found) {
    try {
      for (const path of phases) {
        const made = predictBoot({
          boot,
          base,
          banks: inBase.length > 0 ? inBase : banks,
          phases: path,
          variables,
          ...disk,
        });
        const prediction = { ...made, warnings: [...made.warnings, ...doubts] };
        variants.push({ name: path === '' ? name : `${name} ${path}`, prediction });
      }
    } catch (error) {
      if (isFound !== true || !(error instanceof AssayError) || found.length === 1) throw error;
      skipped.push({ name, reason: error.message });
    }
  }
  return { variants, skipped };
}

function variableOf(text: string, base: BootLog | undefined): [string, Uint8Array] {
  const [, name, plus, path] = /^([^=+]*)(\+?)=(.+)$/s.exec(text) ?? [];
  if (name === undefined || path === undefined)
    throw new UsageError(`--variable ${text} names no file`, 'write NAME=FILE, or NAME+=FILE for what is appended');
  const data = variableData(path, readFileSync(path));
  if (plus === '') return [name, data];
  if (base === undefined)
    throw new UsageError(`--variable ${text}: to what it is appended, a log tells`, 'give --base');
  return [name, appendedVariable(base, name, data)];
}

/** The partition table lies there. */
const TABLE_ROOM = 2 ** 20;

function beginningOf(path: string): BootFile {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(TABLE_ROOM);
    return { name: path, bytes: bytes.subarray(0, readSync(file, bytes)) };
  } finally {
    closeSync(file);
  }
}

function shown({ name, prediction }: Variant, bank: Bank): unknown {
  const { pcrs, refusals, warnings, measurements } = prediction;
  return {
    name,
    pcrs,
    refusals,
    warnings,
    measurements: measurements.map((measurement) => ({
      pcr: measurement.pcr,
      what: measurement.what,
      source: measurement.source,
      digest: `${bank}:${Buffer.from(measurementDigest(measurement, bank)).toString('hex')}`,
    })),
  };
}

function printVariants(variants: readonly Variant[], bank: Bank): void {
  for (const { name, prediction } of variants) {
    printLine(escapeControls(name));
    const values = Object.entries(prediction.pcrs[bank] ?? {});
    if (values.length > 0) printLine(formatTable(values.map(([pcr, value]) => [bank, pcr.padStart(3), value])));
    for (const [reason, pcrs] of byReason(prediction))
      printLine(escapeControls(`PCR ${pcrs.join(', ')} not predicted: ${reason}`));
    for (const warning of prediction.warnings) printLine(escapeControls(`warning: ${warning}`));
  }
}

function byReason({ refusals }: Prediction): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const { pcr, reason } of refusals.toSorted((a, b) => a.pcr - b.pcr))
    found.set(reason, [...(found.get(reason) ?? []), pcr]);
  return found;
}

/** The boot section of a reference manifest that allows each of these boots; nothing of PCRs that do not follow. */
function referenceOf(variants: readonly Variant[], { bank = DEFAULT_BANK, pcrs, base }: Options): BootReference {
  const merger = new BootMerger();
  const log = base === undefined ? undefined : readPcrLog(base);
  for (const { prediction } of variants) merger.addEvents(predictedEvents(prediction, [bank], log), log);
  const predicted = variants.map(({ prediction }) => new Set(prediction.measurements.map(({ pcr }) => pcr)));
  const refused = new Set(variants.flatMap(({ prediction }) => prediction.refusals.map(({ pcr }) => pcr)));
  const follows = (pcr: number): boolean => !refused.has(pcr) && predicted.some((measured) => measured.has(pcr));
  warnOfRefused(variants, pcrs);
  const wanted = (pcr: number): boolean => follows(pcr) && (pcrs === undefined || pcrs.includes(pcr));
  const chosen = Array.from({ length: 24 }, (_, pcr) => pcr).filter(wanted);
  return { pcrs: {}, events: [], components: merger.finish(new Set(chosen)) };
}

/** What the reference does not judge is said beside it: the section alone does not show what is missing. */
function warnOfRefused(variants: readonly Variant[], pcrs: readonly number[] | undefined): void {
  for (const { name, prediction } of variants) {
    for (const { pcr, reason } of prediction.refusals) {
      if (pcrs !== undefined && !pcrs.includes(pcr)) continue;
      process.stderr.write(escapeControls(`warning: PCR ${pcr} is not in the reference: ${name}: ${reason}`));
      process.stderr.write('\n');
    }
  }
}

const DEFAULT_POLICY_PCRS = [11];

function signed(variants: readonly Variant[], { pcrs = DEFAULT_POLICY_PCRS, privateKey }: Options): unknown {
  const key = createPrivateKey(readFileSync(needed(privateKey, '--private-key')));
  if (key.asymmetricKeyType !== 'rsa')
    throw new UsageError('policies are signed with an RSA key', 'give another --private-key');
  return signPolicies(
    variants.map(({ prediction }) => prediction),
    pcrs,
    key,
  );
}

function printPolicy(variants: readonly Variant[], options: Options): void {
  const { bank = DEFAULT_BANK, pcrs = DEFAULT_POLICY_PCRS, json, policyFile } = options;
  const policy = sealingPolicy(
    variants.map(({ prediction }) => prediction),
    bank,
    pcrs,
  );
  const hex = policyDigest(policy, 'sha256').toString('hex');
  if (policyFile !== undefined) writeOutput(policyFile, encodePolicyFile([policy]));
  if (json === true)
    printJson({ policyDigest: hex, nameAlg: 'sha256', bank, pcrs, variants: variants.map(({ name }) => name) });
  else printLine(hex);
}
