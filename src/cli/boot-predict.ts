/** `assay boot predict`: the PCR values of the next boot. */
import { createPrivateKey } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Command, Option } from 'commander';
import {
  type BootFile,
  type BootLog,
  type BootWay,
  DEFAULT_PHASES,
  type GrubDisk,
  measurementDigest,
  type Prediction,
  predictBoot,
  predictEntries,
  predictUki,
  sealingPolicy,
  signPolicies,
} from '../boot/index.ts';
import type { DigestAlgorithm } from '../bytes/index.ts';
import { BootMerger, type BootReference, predictedEvents } from '../reference/index.ts';
import { policyDigest } from '../tpm/index.ts';
import { readBootLog } from './boot-log-input.ts';
import { parsePcrs } from './parse-pcrs.ts';
import { escapeControls, formatTable, printJson, printLine } from './terminal.ts';
import { UsageError } from './usage-error.ts';
import { variableData } from './variable-file.ts';

const WAYS = ['shim-grub', 'grub', 'systemd-boot', 'uki', 'qemu-kernel'] as const;
const BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
type Bank = (typeof BANKS)[number];
/** `(hd0,gpt1)`: where GRUB finds the disk that firmware booted it from, if that is the first. */
const FIRST_PARTITION = '(hd0,gpt1)';

interface Options {
  readonly base?: string;
  readonly esp?: string;
  readonly loader: string;
  readonly grub: string;
  readonly device: string;
  readonly disk?: readonly string[];
  readonly display?: 'yes' | 'no';
  readonly gpt?: string;
  readonly entry?: readonly string[];
  readonly uki?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly cmdlineFile?: string;
  readonly memory: string;
  readonly mokList?: string;
  readonly phase?: readonly string[];
  readonly variable?: readonly string[];
  readonly bank: Bank;
  readonly pcrs?: number[];
  readonly format: 'values' | 'reference' | 'signed' | 'policy';
  readonly privateKey?: string;
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
others as grub-reboot does ('1>0', an id or a title), '--entry every' gives a variant for each.
--variable takes what a Secure Boot variable will hold: signature lists (.esl), a signed update (.auth) or a file of
efivarfs; where Secure Boot is switched, SecureBoot (one byte), PK, KEK and db together. --gpt takes the disk that the
firmware starts from (OVMF measures the table of that one alone).
systemd-boot without --entry gives a variant for each entry and image on the partition.

Examples:
  assay boot predict shim-grub --esp /boot/efi --loader EFI/debian/shimx64.efi --grub EFI/debian/grubx64.efi \\
    --disk '(hd0,gpt2),5a5a0e10-0000-4000-8000-000000000005=/' --entry every \\
    --base /sys/kernel/security/tpm0/binary_bios_measurements
  assay boot predict systemd-boot --esp /boot --entry EFI/Linux/new.efi --base LOG --json
  assay boot predict qemu-kernel --kernel vmlinuz --initrd initrd --cmdline-file /etc/kernel/cmdline --base LOG
  assay boot predict uki --uki new.efi --format signed --private-key key.pem`;

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
    .option('--grub <path>', 'GRUB, on that partition', 'EFI/BOOT/grubx64.efi')
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
    .option('--memory <MiB>', "QEMU's memory, for way qemu-kernel", '1024')
    .option('--mok-list <file>', "data of shim's variable MokList")
    .option('--gpt <disk>', 'disk that the firmware starts from, or its image, where its partitions change')
    .option('--variable <name=file>', "new data of a Secure Boot variable ('db=new-db')", collect)
    .option('--phase <path>', 'boot phases for PCR 11, as of systemd-measure; several are several variants', collect)
    .addOption(new Option('--bank <bank>', 'bank').choices(BANKS).default('sha256'))
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
    .option('--json', 'print {"variants":[{"name","pcrs","refusals","warnings","measurements"}]}')
    .addHelpText('after', HELP)
    .action((way: string, options: Options) => predict(way, options));
}

function predict(way: string, options: Options): void {
  const variants = variantsOf(way, options);
  if (options.format === 'reference') printJson(referenceOf(variants, options));
  else if (options.format === 'signed') printJson(signed(variants, options));
  else if (options.format === 'policy') printPolicy(variants, options);
  else if (options.json === true) printJson({ variants: variants.map((variant) => shown(variant, options.bank)) });
  else printVariants(variants, options.bank);
}

function variantsOf(way: string, options: Options): Variant[] {
  const phases = options.phase ?? [''];
  const banks: DigestAlgorithm[] = [options.bank];
  if (way === 'uki' && options.base === undefined) {
    const file = read(needed(options.uki, '--uki'));
    const paths = options.phase ?? DEFAULT_PHASES;
    return paths.map((path) => ({ name: `${basename(file.name)} ${path}`, prediction: predictUki(file, banks, path) }));
  }
  const base = options.base === undefined ? undefined : readBootLog(options.base);
  const variables = Object.fromEntries((options.variable ?? []).map(variableOf));
  const disk = options.gpt === undefined ? {} : { disk: beginningOf(options.gpt) };
  return waysOf(way, options, base, variables).flatMap(({ name, boot }) =>
    phases.map((path) => ({
      name: path === '' ? name : `${name} ${path}`,
      prediction: predictBoot({ boot, base, banks, phases: path, variables, ...disk }),
    })),
  );
}

function variableOf(text: string): [string, Uint8Array] {
  const [name = '', path] = text.split(/=(.*)/s, 2);
  if (path === undefined) throw new UsageError(`--variable ${text} names no file`, 'write NAME=FILE');
  return [name, variableData(path, readFileSync(path))];
}

const needed = (value: string | undefined, option: string): string => {
  if (value === undefined) throw new UsageError(`this way to boot needs ${option}`, 'see assay boot predict --help');
  return value;
};

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

const read = (path: string): BootFile => ({ name: path, bytes: readFileSync(path) });

interface NamedWay {
  readonly name: string;
  readonly boot: BootWay;
}

function waysOf(
  way: string,
  options: Options,
  base: BootLog | undefined,
  variables: Readonly<Record<string, Uint8Array>>,
): NamedWay[] {
  switch (way) {
    case 'uki':
      return [{ name: 'uki', boot: { way, uki: read(needed(options.uki, '--uki')) } }];
    case 'qemu-kernel':
      return [{ name: way, boot: qemuKernel(options) }];
    case 'shim-grub':
      return grubEntries(shimGrub(options), options, base, variables);
    case 'grub':
      return grubEntries(
        { way, ...grubPart(partition(needed(options.esp, '--esp')), options) },
        options,
        base,
        variables,
      );
    case 'systemd-boot':
      return systemdBoot(options);
    default:
      throw new UsageError(`there is no way to boot '${way}'`, `use one of ${WAYS.join(', ')}`);
  }
}

function qemuKernel(options: Options): BootWay {
  const memoryMiB = Number(options.memory);
  if (!Number.isInteger(memoryMiB) || memoryMiB < 1)
    throw new UsageError('--memory is no number of MiB', 'give what -m has');
  const initrd = options.initrd === undefined ? undefined : read(options.initrd);
  const kernel = read(needed(options.kernel, '--kernel'));
  return { way: 'qemu-kernel', kernel, initrd, commandLine: commandLine(options), memoryMiB };
}

function commandLine({ cmdline, cmdlineFile }: Options): string {
  if (cmdlineFile === undefined) return needed(cmdline, '--cmdline or --cmdline-file');
  if (cmdline !== undefined) throw new UsageError('--cmdline and --cmdline-file both say it', 'give one of them');
  // As kernel-install takes it: lines are joined, spaces at the ends fall away.
  return readFileSync(cmdlineFile, 'utf8')
    .trim()
    .replace(/\s*\n\s*/g, ' ');
}

type GrubWay = Extract<BootWay, { way: 'grub' | 'shim-grub' }>;

const EVERY = 'every';

function grubEntries(
  boot: GrubWay,
  { entry }: Options,
  base: BootLog | undefined,
  variables: Readonly<Record<string, Uint8Array>>,
): NamedWay[] {
  if (entry === undefined) return [{ name: boot.way, boot }];
  return entry.flatMap((asked) =>
    asked === EVERY
      ? predictEntries(boot, base, variables).map((found) => ({
          name: found.titles.join(' > '),
          boot: { ...boot, entry: found.entry },
        }))
      : [{ name: asked, boot: { ...boot, entry: asked } }],
  );
}

function shimGrub(options: Options): GrubWay {
  const esp = partition(needed(options.esp, '--esp'));
  const { mokList } = options;
  return {
    way: 'shim-grub',
    shim: esp.required(options.loader),
    ...grubPart(esp, options),
    owner: mokList === undefined ? undefined : { mokList: readFileSync(mokList), mokListX: new Uint8Array() },
  };
}

function grubPart(esp: Partition, options: Options): Omit<Extract<BootWay, { way: 'grub' }>, 'way'> {
  const { grub, device, display } = options;
  return {
    grub: esp.required(grub),
    disks: grubDisks(esp, options),
    bootDevice: device,
    ...(display === undefined ? {} : { hasDisplay: display === 'yes' }),
  };
}

/** `(hd0,gpt2),UUID=FOLDER`; a further one of the ESP's own name brings its UUID. */
function grubDisks(esp: Partition, { device, disk = [] }: Options): GrubDisk[] {
  const given = disk.map((text) => {
    const [, name, uuid, folder] = /^(\([^()=]+\))(?:,([^=]+))?=(.+)$/s.exec(text) ?? [];
    if (name === undefined || folder === undefined)
      throw new UsageError(`--disk ${text} is no partition`, "write it as '(hd0,gpt2),UUID=FOLDER'");
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
      throw new UsageError(`--disk ${text}: ${folder} is no folder`, 'name the folder where the partition is mounted');
    const { file, isDirectory } = partition(folder);
    return { device: name, ...(uuid === undefined ? {} : { uuid }), file, isDirectory };
  });
  const own = { device, file: esp.file, isDirectory: esp.isDirectory };
  return given.some((other) => other.device === device) ? given : [own, ...given];
}

function systemdBoot(options: Options): NamedWay[] {
  const folder = needed(options.esp, '--esp');
  const esp = partition(folder);
  const loader = esp.required(options.loader);
  const { entry = [EVERY] } = options;
  return entry
    .flatMap((path) => (path === EVERY ? entriesOn(folder) : [path]))
    .map((path) => {
      const file = esp.required(path);
      const loads = path.endsWith('.conf') ? { entry: file, file: esp.file } : { uki: file };
      return { name: path, boot: { way: 'systemd-boot', loader, loads } };
    });
}

/** Where systemd-boot looks for what it starts (Boot Loader Specification). */
function entriesOn(folder: string): string[] {
  const found = [
    ['loader/entries', '.conf'],
    ['EFI/Linux', '.efi'],
  ].flatMap(([place = '', ending = '']) => {
    const names = existsSync(join(folder, place)) ? readdirSync(join(folder, place)) : [];
    return names
      .filter((name) => name.toLowerCase().endsWith(ending))
      .sort()
      .map((name) => `${place}/${name}`);
  });
  if (found.length === 0)
    throw new UsageError(
      `${folder} has nothing that systemd-boot starts in loader/entries or EFI/Linux`,
      'name another --esp, or a UKI or an entry with --entry',
    );
  return found;
}

interface Partition {
  file(path: string): BootFile | undefined;
  isDirectory(path: string): boolean;
  required(path: string): BootFile;
}

function partition(folder: string): Partition {
  const kind = (path: string): ReturnType<typeof statSync> | undefined =>
    statSync(join(folder, path), { throwIfNoEntry: false });
  const file = (path: string): BootFile | undefined =>
    kind(path)?.isFile() === true ? read(join(folder, path)) : undefined;
  return {
    file,
    isDirectory: (path) => kind(path)?.isDirectory() === true,
    required: (path) => file(path) ?? read(join(folder, path)),
  };
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
function referenceOf(variants: readonly Variant[], { bank, pcrs, base }: Options): BootReference {
  const merger = new BootMerger();
  const log = base === undefined ? undefined : readBootLog(base);
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

function printPolicy(variants: readonly Variant[], { bank, pcrs = DEFAULT_POLICY_PCRS, json }: Options): void {
  const policy = sealingPolicy(
    variants.map(({ prediction }) => prediction),
    bank,
    pcrs,
  );
  const hex = policyDigest(policy, 'sha256').toString('hex');
  if (json === true)
    printJson({ policyDigest: hex, nameAlg: 'sha256', bank, pcrs, variants: variants.map(({ name }) => name) });
  else printLine(hex);
}
