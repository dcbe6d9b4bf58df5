/** Unified kernel images: what systemd-stub measures of its own sections, and the phases that user space adds. */
import type { PeImage } from '../pe/index.ts';
import { type BootFile, type Measurement, notPredictable } from './measurement.ts';
import { namedSection, parseNamed } from './named-image.ts';

const UKI_PCR = 11;

/**
 * Sections in the order in which the stub measures them, each with the stub's version that began to.
 * systemd: src/fundamental/tpm-pcr.h (252), src/fundamental/uki.h (254 and newer): UnifiedSection.
 */
const SECTIONS: readonly (readonly [name: string, since: number])[] = [
  ['.linux', 252],
  ['.osrel', 252],
  ['.cmdline', 252],
  ['.initrd', 252],
  ['.ucode', 256],
  ['.splash', 252],
  ['.dtb', 252],
  ['.uname', 253],
  ['.sbat', 254],
  // .pcrsig is not measured: it signs what the others add up to.
  ['.pcrpkey', 252],
];
/** The stub chooses among these at boot, by what is asked for and by the machine. */
const CHOSEN_AT_BOOT = ['.profile', '.dtbauto', '.hwids', '.efifw'];
const OLDEST_STUB = 252;

/** When user space has come so far, systemd-pcrphase measures the word (systemd-pcrphase.service(8)). */
export const DEFAULT_PHASES: readonly string[] = [
  'enter-initrd',
  'enter-initrd:leave-initrd',
  'enter-initrd:leave-initrd:sysinit',
  'enter-initrd:leave-initrd:sysinit:ready',
];

export type SystemdProgram = 'systemd-stub' | 'systemd-boot';

/** The version that a systemd EFI program says of itself: `#### LoaderInfo: systemd-stub 252.39-1 ####`. */
export function systemdVersion(file: BootFile, image: PeImage, program: SystemdProgram): number | undefined {
  const section = namedSection(file, image, '.sdmagic');
  if (section === undefined) return undefined;
  const text = Buffer.from(section).toString('latin1');
  const version = new RegExp(`LoaderInfo: ${program} v?(\\d{3,4})\\b`).exec(text)?.[1];
  return version === undefined ? undefined : Number(version);
}

export interface Uki {
  readonly file: BootFile;
  readonly image: PeImage;
  readonly stubVersion: number;
  /** A section's bytes as the stub sees them. */
  section(name: string): Uint8Array | undefined;
}

/** @throws {BootError} `boot.not-predictable` for an image whose stub is not known, or that leaves a choice to the boot */
export function openUki(file: BootFile): Uki {
  const image = parseNamed(file);
  const stubVersion = systemdVersion(file, image, 'systemd-stub');
  if (stubVersion === undefined) {
    throw notPredictable(
      `${file.name}: no systemd-stub says its version in section .sdmagic`,
      'give a unified kernel image',
    );
  }
  if (stubVersion < OLDEST_STUB) {
    throw notPredictable(`${file.name}: systemd-stub ${stubVersion} measures into other PCRs`, 'use 252 or newer');
  }
  const choice = image.sections.find(({ name }) => CHOSEN_AT_BOOT.includes(name));
  if (choice !== undefined) {
    throw notPredictable(`${file.name}: what the stub does with section ${choice.name} is decided at boot`);
  }
  const section = (name: string): Uint8Array | undefined => namedSection(file, image, name);
  if (section('.linux') === undefined)
    throw notPredictable(`${file.name}: has no section .linux, so it starts nothing`);
  return { file, image, stubVersion, section };
}

/** PCR 11 as the stub extends it: each section's name with its NUL, then its bytes. */
export function sectionMeasurements(uki: Uki): Measurement[] {
  return SECTIONS.flatMap(([name, since]) => {
    const bytes = uki.stubVersion >= since ? uki.section(name) : undefined;
    if (bytes === undefined) return [];
    const head = { pcr: UKI_PCR, source: uki.file.name };
    return [
      { ...head, what: `name of section ${name}`, over: { bytes: Buffer.from(`${name}\0`, 'latin1') } },
      { ...head, what: `section ${name}`, over: { bytes } },
    ];
  });
}

/** @param path words with colons between them, as systemd-measure's `--phase`; `:` or nothing: before user space */
export function phaseMeasurements(path: string): Measurement[] {
  return path
    .split(':')
    .filter((word) => word !== '')
    .map((word) => ({
      pcr: UKI_PCR,
      what: `phase ${word}`,
      source: 'systemd-pcrphase',
      over: { bytes: Buffer.from(word) },
    }));
}
