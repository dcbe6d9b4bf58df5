/** The ways to boot, each as the images that it loads and what its programs measure. */
import { efiStubMeasurements, plainCommandLine, qemuKernel } from './efi-stub.ts';
import { followGrub, type GrubEntry, grubEntries } from './grub.ts';
import type { GrubDisk } from './grub-disk.ts';
import { openGrub } from './grub-image.ts';
import type { GrubOptions } from './grub-reader.ts';
import { type BootFile, efiText, type Measurement, notPredictable } from './measurement.ts';
import { parseNamed } from './named-image.ts';
import { type MachineOwnerLists, mokMeasurements, type ShimLists, shimLists } from './secure-boot.ts';
import { openUki, phaseMeasurements, sectionMeasurements, systemdVersion, type Uki } from './uki.ts';

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
      /** A list that is left out is one that the base log shows to be empty. */
      readonly owner: Partial<MachineOwnerLists> | undefined;
    })
  /** GRUB that the firmware starts, which Secure Boot does not allow: such a machine has no firmware log afterwards. */
  | (GrubPart & { readonly way: 'grub' })
  | { readonly way: 'systemd-boot'; readonly loader: BootFile; readonly loads: UkiEntry | Type1Entry }
  | ({ readonly way: 'uki' } & UkiEntry);

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
  /** Files that the stub takes from the partition besides (`isStubCompanion`): it measures them and adds them to the initrd. */
  readonly companions?: readonly string[];
}

/** An entry of the Boot Loader Specification, type 1, with its files. */
export interface Type1Entry {
  readonly entry: BootFile;
  /** A file by its path on the loader's partition. */
  file(path: string): BootFile | undefined;
}

export interface LoadedImage {
  readonly file: BootFile;
  /** Who checks the signature. */
  readonly by: 'firmware' | 'shim' | 'nobody';
  /** Its name ends as the path does under which it is loaded. */
  readonly isNamedByPath?: boolean;
}

/** What a way does, without the firmware's part. */
export interface BootModel {
  /** In the order in which they are loaded: PCR 4. */
  readonly images: readonly LoadedImage[];
  /** PCRs 8, 9, 11, 12 and 14. */
  readonly measurements: readonly Measurement[];
  readonly shim:
    | { readonly lists: ShimLists; readonly owner: MachineOwnerLists; readonly given: readonly string[] }
    | undefined;
  /** PCRs that this way changes and that cannot be told, with the reason. */
  readonly refusals: readonly { readonly pcr: number; readonly reason: string }[];
  readonly warnings: readonly string[];
}

/** Up to here QEMU was tried; what it writes into the kernel is no interface. */
const TRIED_QEMU = '7.2';
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
      return withCompanions(ukiModel(openUki(way.uki), [], undefined, isOn, phases), way);
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
    warnings: [
      `PCR 4 is that of QEMU up to ${TRIED_QEMU} on machine q35: newer ones may hand the kernel over unchanged`,
    ],
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
    images: [{ file: grub, by: 'firmware', isNamedByPath: true }],
    measurements,
    warnings,
    refusals: [{ pcr: 4, reason }],
  };
}

function shimModel(way: ShimGrub, isSecureBoot: boolean | undefined): BootModel {
  const { shim, grub, disks, bootDevice, owner } = way;
  const lists = shimLists(shim);
  const { mokList, mokListX } = owner ?? {};
  const known = { mokList: mokList ?? new Uint8Array(), mokListX: mokListX ?? new Uint8Array() };
  const given = [...(mokList === undefined ? [] : ['MokList']), ...(mokListX === undefined ? [] : ['MokListX'])];
  const followed = followGrub(openGrub(grub), disks, bootDevice, grubOptions(way, isSecureBoot));
  return {
    images: [
      { file: shim, by: 'firmware', isNamedByPath: true },
      { file: grub, by: 'shim', isNamedByPath: true },
      { file: followed.kernel, by: 'shim' },
    ],
    measurements: [...mokMeasurements(shim, lists, known), ...followed.measurements],
    shim: { lists, owner: known, given },
    refusals: [],
    warnings: followed.warnings,
  };
}

function systemdBootModel(
  { loader, loads }: Extract<BootWay, { way: 'systemd-boot' }>,
  isSecureBoot: boolean,
  phases: string,
): BootModel {
  const version = systemdVersion(loader, parseNamed(loader), 'systemd-boot');
  if (version === undefined) throw notPredictable(`${loader.name}: does not say which systemd-boot it is`);
  const model =
    'uki' in loads
      ? withCompanions(viaSystemdBoot(openUki(loads.uki), isSecureBoot, phases), loads)
      : type1Model(loads);
  const first = { file: loader, by: 'firmware', isNamedByPath: true } as const;
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

/** Command line, initrd and extensions: where add-ons, credentials and system extensions are measured. */
const COMPANION_PCRS = [9, 12, 13];

/** By its name, in one of the folders where the stub looks. */
export function isStubCompanion(name: string): boolean {
  return /\.(?:cred|raw|efi)$/i.test(name);
}

/** systemd-stub(7); the last is of newer ones. */
export const STUB_FOLDERS: readonly string[] = ['loader/credentials', 'loader/addons', 'loader/extensions'];
/** Those of one image, behind its path. */
export const STUB_FOLDER_OF_IMAGE = '.extra.d';

function withCompanions(model: BootModel, { companions = [] }: UkiEntry): BootModel {
  const [first] = companions;
  if (first === undefined) return model;
  const reason = `${first}: what the stub makes of it is not followed`;
  const refused = new Set(model.refusals.map(({ pcr }) => pcr));
  const more = COMPANION_PCRS.filter((pcr) => !refused.has(pcr)).map((pcr) => ({ pcr, reason }));
  return { ...model, refusals: [...model.refusals, ...more] };
}

/** Keys of an entry that name other things to load. */
const REFUSED_KEYS = new Set(['efi', 'devicetree', 'devicetree-overlay', 'uki', 'extra']);

function type1Model({ entry, file }: Type1Entry): BootModel {
  const lines = entryLines(entry);
  const values = (key: string): string[] => lines.filter((line) => line.key === key).map(({ value }) => value);
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

/** A person writes some ten lines. */
const MAX_ENTRY_SIZE = 64 * 1024;

/** Key and value of each line that has both (systemd 252: src/boot/efi/boot.c, line_get_key_value). */
function entryLines({ name, bytes }: BootFile): { readonly key: string; readonly value: string }[] {
  if (bytes.length > MAX_ENTRY_SIZE) throw notPredictable(`${name}: an entry of ${bytes.length} bytes`);
  return Buffer.from(bytes)
    .toString('utf8')
    .split(/\r?\n/)
    .flatMap((line, i) => {
      const text = line.trim();
      const end = text.search(/\s/);
      if (text.startsWith('#') || end < 0) return [];
      const [key, value] = [text.slice(0, end), text.slice(end).trimStart()];
      const place = `${name}, line ${i + 1}`;
      if (REFUSED_KEYS.has(key)) throw notPredictable(`${place}: '${key}' is not followed`);
      // systemd-boot takes a pair of them off.
      if (/^["']/.test(value)) throw notPredictable(`${place}: a value in quotation marks is not followed`);
      return [{ key, value }];
    });
}

function notThere(entry: BootFile, path: string): never {
  throw notPredictable(`${entry.name}: ${path} is not there`);
}
