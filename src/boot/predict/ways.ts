/** The ways to boot, each as the images that it loads and what its programs measure. */
import { efiStubMeasurements, plainCommandLine, qemuKernel } from './efi-stub.ts';
import { followGrub, type GrubEntry, grubEntries } from './grub.ts';
import type { GrubDisk } from './grub-disk.ts';
import { openGrub } from './grub-image.ts';
import type { GrubOptions } from './grub-reader.ts';
import { type BootFile, efiText, type Measurement, notPredictable } from './measurement.ts';
import { type MachineOwnerLists, mokMeasurements, type ShimLists, shimLists } from './secure-boot.ts';
import { openUki, parseNamed, phaseMeasurements, sectionMeasurements, systemdVersion, type Uki } from './uki.ts';

export type BootWay =
  | {
      readonly way: 'qemu-kernel';
      readonly kernel: BootFile;
      readonly initrd: BootFile | undefined;
      /** All of it, also the `initrd=initrd` that the firmware or the caller adds. */
      readonly commandLine: string;
      readonly memoryMiB: number;
    }
  | (GrubPart & {
      readonly way: 'shim-grub';
      readonly shim: BootFile;
      /** Left out: what the base log shows to be empty. */
      readonly owner: MachineOwnerLists | undefined;
    })
  /** GRUB that the firmware starts, which Secure Boot does not allow: such a machine has no firmware log afterwards. */
  | (GrubPart & { readonly way: 'grub' })
  | { readonly way: 'systemd-boot'; readonly loader: BootFile; readonly loads: UkiEntry | Type1Entry }
  | { readonly way: 'uki'; readonly uki: BootFile };

export interface GrubPart {
  readonly grub: BootFile;
  readonly disks: readonly GrubDisk[];
  /** The partition that GRUB lies on. */
  readonly bootDevice: string;
  /** What is chosen in GRUB's menus, by numbers, ids or titles as `1>0`; left out: what boots by itself. */
  readonly entry?: string;
  /** Needed where the configuration has a picture for it. */
  readonly hasDisplay?: boolean;
}

export interface UkiEntry {
  readonly uki: BootFile;
}

/** An entry of the Boot Loader Specification, type 1, with its files. */
export interface Type1Entry {
  readonly entry: BootFile;
  /** A file by its path on the loader's partition. */
  file(path: string): BootFile | undefined;
}

/** What a way does, without the firmware's part. */
export interface BootModel {
  /** In the order in which they are loaded: PCR 4. `by`: who checks the signature. */
  readonly images: readonly { readonly file: BootFile; readonly by: 'firmware' | 'shim' | 'nobody' }[];
  /** PCRs 8, 9, 11, 12 and 14. */
  readonly measurements: readonly Measurement[];
  readonly shim:
    | { readonly lists: ShimLists; readonly owner: MachineOwnerLists; readonly isOwnerGiven: boolean }
    | undefined;
  /** PCRs that this way changes and that cannot be told, with the reason. */
  readonly refusals: readonly { readonly pcr: number; readonly reason: string }[];
  readonly warnings: readonly string[];
}

/** systemd-boot and systemd-stub up to here were tried against real boots. */
const TRIED_SYSTEMD = 252;

/** @param isSecureBoot undefined where it is not known; the stub takes no command line but its own where it is on */
export function modelBoot(way: BootWay, isSecureBoot: boolean | undefined, phases: string): BootModel {
  const isOn = isSecureBoot === true;
  switch (way.way) {
    case 'qemu-kernel':
      return qemuModel(way, isOn);
    case 'shim-grub':
      return shimModel(way, isSecureBoot);
    case 'grub':
      return grubModel(way);
    case 'systemd-boot':
      return systemdBootModel(way, isOn, phases);
    case 'uki':
      return ukiModel(openUki(way.uki), [], undefined, isOn, phases);
  }
}

const NOTHING = { measurements: [], shim: undefined, refusals: [], warnings: [] } as const;

function qemuModel(
  { kernel, initrd, commandLine, memoryMiB }: Extract<BootWay, { way: 'qemu-kernel' }>,
  isSecureBoot: boolean,
): BootModel {
  const reason = 'the fields that QEMU sets break the kernel’s signature, and the firmware starts it in another way';
  const bytes = qemuKernel(kernel.bytes, initrd?.bytes.length ?? 0, memoryMiB);
  const text = plainCommandLine(commandLine, 'command line');
  return {
    ...NOTHING,
    images: [{ file: { name: `${kernel.name} with the fields that QEMU sets`, bytes }, by: 'firmware' }],
    measurements: efiStubMeasurements({ text, source: 'command line' }, sourced(initrd)),
    refusals: isSecureBoot ? [4, 7, 9].map((pcr) => ({ pcr, reason })) : [],
  };
}

const sourced = (file: BootFile | undefined): { bytes: Uint8Array; source: string } | undefined =>
  file === undefined ? undefined : { bytes: file.bytes, source: file.name };

type GrubWay = Extract<BootWay, { readonly way: 'grub' | 'shim-grub' }>;
type ShimGrub = Extract<BootWay, { way: 'shim-grub' }>;

const grubOptions = ({ way, entry, hasDisplay }: GrubWay, isSecureBoot: boolean | undefined): GrubOptions => ({
  ...(way === 'grub' ? { isSecureBoot: false } : isSecureBoot === undefined ? {} : { isSecureBoot }),
  ...(entry === undefined ? {} : { entry }),
  ...(hasDisplay === undefined ? {} : { hasDisplay }),
});

/** Every entry of GRUB's menus. @throws {BootError} `boot.not-predictable` as predictBoot does */
export function menuEntries(way: GrubWay, isSecureBoot: boolean | undefined): GrubEntry[] {
  return grubEntries(openGrub(way.grub), way.disks, way.bootDevice, grubOptions(way, isSecureBoot));
}

/** GRUB enters the kernel past its EFI stub; which images the firmware is then asked to load was never compared. */
function grubModel(way: Extract<BootWay, { way: 'grub' }>): BootModel {
  const { grub, disks, bootDevice } = way;
  const { measurements, warnings } = followGrub(openGrub(grub), disks, bootDevice, grubOptions(way, false));
  const reason = 'which images GRUB has the firmware load without shim was never compared with a log';
  return {
    ...NOTHING,
    images: [{ file: grub, by: 'firmware' }],
    measurements,
    warnings,
    refusals: [{ pcr: 4, reason }],
  };
}

function shimModel(way: ShimGrub, isSecureBoot: boolean | undefined): BootModel {
  const { shim, grub, disks, bootDevice, owner } = way;
  const lists = shimLists(shim);
  const known = owner ?? { mokList: new Uint8Array(), mokListX: new Uint8Array() };
  const followed = followGrub(openGrub(grub), disks, bootDevice, grubOptions(way, isSecureBoot));
  return {
    images: [
      { file: shim, by: 'firmware' },
      { file: grub, by: 'shim' },
      { file: followed.kernel, by: 'shim' },
    ],
    measurements: [...mokMeasurements(shim, lists, known), ...followed.measurements],
    shim: { lists, owner: known, isOwnerGiven: owner !== undefined },
    refusals: [],
    warnings: followed.warnings,
  };
}

function systemdBootModel(
  { loader, loads }: Extract<BootWay, { way: 'systemd-boot' }>,
  isSecureBoot: boolean,
  phases: string,
): BootModel {
  const version = systemdVersion(parseNamed(loader), 'systemd-boot');
  if (version === undefined) throw notPredictable(`${loader.name}: does not say which systemd-boot it is`);
  const model = 'uki' in loads ? viaSystemdBoot(openUki(loads.uki), isSecureBoot, phases) : type1Model(loads);
  const first = { file: loader, by: 'firmware' } as const;
  return {
    ...model,
    images: [first, ...model.images],
    warnings: [...model.warnings, ...untried('systemd-boot', version)],
  };
}

function untried(program: string, version: number): string[] {
  return version > TRIED_SYSTEMD
    ? [`${program} ${version} is newer than ${TRIED_SYSTEMD}, up to which real boots were compared`]
    : [];
}

/** systemd-boot hands the image's own command line on and measures it; the stub measures what it takes of that once more. */
function viaSystemdBoot(uki: Uki, isSecureBoot: boolean, phases: string): BootModel {
  const embedded = uki.section('.cmdline');
  if (embedded === undefined) return ukiModel(uki, [], undefined, isSecureBoot, phases);
  const text = plainCommandLine(Buffer.from(embedded).toString('utf8'), `${uki.file.name}, section .cmdline`);
  const measurement = { pcr: 12, what: `load options: ${text}`, source: uki.file.name, over: { bytes: efiText(text) } };
  return ukiModel(uki, isSecureBoot ? [measurement] : [measurement, measurement], text, isSecureBoot, phases);
}

/** Sections that a stub hands to the kernel with the initrd: the initrd that the kernel measures is then no file of ours. */
const INITRD_COMPANIONS = ['.pcrsig', '.pcrpkey', '.ucode'];
/** From here on the stub adds files of its own to the initrd (os-release, profile). */
const STUB_ADDS_TO_INITRD = 257;

function ukiModel(
  uki: Uki,
  passed: readonly Measurement[],
  options: string | undefined,
  isSecureBoot: boolean,
  phases: string,
): BootModel {
  const { file, stubVersion } = uki;
  const kernel = { name: `${file.name}, section .linux`, bytes: uki.section('.linux') ?? new Uint8Array() };
  const embedded = uki.section('.cmdline');
  const own = embedded === undefined ? undefined : Buffer.from(embedded).toString('utf8');
  const text = options ?? (own === undefined ? undefined : plainCommandLine(own, `${file.name}, section .cmdline`));
  const initrd = uki.section('.initrd');
  const companion = INITRD_COMPANIONS.find((name) => uki.section(name) !== undefined);
  const isKnown = companion === undefined && stubVersion < STUB_ADDS_TO_INITRD;
  const source = `${file.name}, section .initrd`;
  return {
    images: [
      { file, by: 'firmware' },
      // With Secure Boot the stub steps in for the firmware's check of this image, and so for its measurement
      // (systemd 252: src/boot/efi/linux.c, secure-boot.c:install_security_override).
      ...(isSecureBoot ? [] : [{ file: kernel, by: 'nobody' as const }]),
    ],
    measurements: [
      ...sectionMeasurements(uki),
      ...phaseMeasurements(phases),
      ...passed,
      ...(isKnown
        ? efiStubMeasurements({ text: text ?? '', source: file.name }, initrd && { bytes: initrd, source })
        : []),
    ],
    shim: undefined,
    refusals: isKnown
      ? []
      : [
          {
            pcr: 9,
            reason: `${file.name}: the stub adds ${companion ?? 'files of its own'} to the initrd that the kernel measures`,
          },
        ],
    warnings: untried('systemd-stub', stubVersion),
  };
}

/** Keys of an entry that name other things to load. */
const REFUSED_KEYS = new Set(['efi', 'devicetree', 'devicetree-overlay', 'uki', 'extra']);

function type1Model({ entry, file }: Type1Entry): BootModel {
  const lines = Buffer.from(entry.bytes).toString('utf8').split('\n');
  const values = (key: string): string[] =>
    lines.flatMap((line) => new RegExp(`^\\s*${key}\\s+(.*?)\\s*$`).exec(line)?.[1] ?? []);
  for (const [i, line] of lines.entries()) {
    const key = /^\s*([a-z-]+)/.exec(line)?.[1];
    if (key !== undefined && REFUSED_KEYS.has(key))
      throw notPredictable(`${entry.name}, line ${i + 1}: '${key}' is not followed`);
  }
  const [kernelPath, another] = values('linux');
  if (kernelPath === undefined || another !== undefined) throw notPredictable(`${entry.name}: names not one kernel`);
  const read = (path: string): BootFile => file(path) ?? notThere(entry, path);
  const initrds = values('initrd');
  const given = [...initrds.map((path) => `initrd=${path.replaceAll('/', '\\')}`), ...values('options')].join(' ');
  const text = given === '' ? '' : plainCommandLine(given, entry.name);
  const initrd = initrds.length === 0 ? undefined : Buffer.concat(initrds.map((path) => read(path).bytes));
  const options: Measurement[] =
    text === '' ? [] : [{ pcr: 12, what: `load options: ${text}`, source: entry.name, over: { bytes: efiText(text) } }];
  return {
    ...NOTHING,
    images: [{ file: read(kernelPath), by: 'firmware' }],
    measurements: [
      ...options,
      ...efiStubMeasurements({ text, source: entry.name }, initrd && { bytes: initrd, source: initrds.join(', ') }),
    ],
  };
}

function notThere(entry: BootFile, path: string): never {
  throw notPredictable(`${entry.name}: ${path} is not there`);
}
