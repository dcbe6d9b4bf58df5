/** Which component an event belongs to. */
import { type BootEvent, EventType } from '../../boot/index.ts';
import { withoutFinalNuls } from '../../bytes/index.ts';
import type { BootComponent } from './components.ts';

export interface Part {
  /** Without its PCR: `initrd`. */
  readonly name: string;
  readonly match: BootComponent['match'];
}

/** Linux: drivers/firmware/efi/libstub/efistub.h. */
const INITRD_TAG = 0x8f3b22ec;
const LOAD_OPTIONS_TAG = 0x8f3b22ed;
const KERNEL_COMMAND_LINE = Buffer.from('kernel_cmdline: ');
const BOOT_OPTION = /^(?:(?:Boot|Driver|SysPrep)(?:[0-9A-F]{4}|Order)|BootNext)$/;
const VARIABLE_HEADER_SIZE = 32;
const LONGEST_NAME = 64;

/** A name of {@link partOfEvent} whose events are the images of PCR 4; `partsOfImages` says which is which. */
export const IMAGE: Part = { name: 'image', match: 'whole' };
/** One of them whose file is called like a loader's: not the kernel, although it is the last (GRUB need not measure it). */
export const LOADER_IMAGE: Part = { name: 'image', match: 'whole' };

const PCR_PARTS: ReadonlyMap<number, string> = new Map([
  [0, 'firmware'],
  [1, 'firmware settings'],
  [2, 'option ROMs'],
  [3, 'option ROM settings'],
  [4, 'boot attempts'],
  [5, 'boot actions'],
  [6, 'host-specific events'],
  [7, 'Secure Boot authorities'],
  [8, 'boot loader commands'],
  [9, 'boot loader files'],
  [11, 'unified kernel image'],
  [12, 'command line'],
  [13, 'system extensions'],
  [14, 'shim’s variables'],
]);

/** Variables that the firmware measures into PCR 7; others are among the authorities. */
const SECURE_BOOT_PARTS: ReadonlyMap<string, string> = new Map([
  ['SecureBoot', 'Secure Boot'],
  ['PK', 'Secure Boot keys'],
  ['KEK', 'Secure Boot keys'],
  ['db', 'Secure Boot keys'],
  ['dbt', 'Secure Boot keys'],
  ['dbr', 'Secure Boot keys'],
  ['dbx', 'Secure Boot revocations'],
]);
export const PARTITION_TABLE: Part = { name: 'partition table', match: 'whole' };
export const SHIM_REVOCATIONS: Part = { name: 'shim’s revocations', match: 'whole' };

export const partOfPcr = (pcr: number): Part => ({ name: PCR_PARTS.get(pcr) ?? 'events', match: 'whole' });
export const partOfVariable = (name: string, pcr: number): Part =>
  pcr === 7 ? { name: SECURE_BOOT_PARTS.get(name) ?? 'Secure Boot authorities', match: 'whole' } : partOfPcr(pcr);
export const componentName = (part: string, pcr: number): string => `${part} (PCR ${pcr})`;

/**
 * Types and names here are not vouched for: an event that lies about them lands in another component, where its digest is
 * in no variant, and is missed in its own.
 * @param optionPcrs PCRs in which boot options are judged one by one, by their meaning
 */
export function partOfEvent(event: BootEvent, optionPcrs: ReadonlySet<number>): Part {
  const { pcr, type, data } = event;
  switch (type) {
    case EventType.EV_EFI_VARIABLE_BOOT:
    case EventType.EV_EFI_VARIABLE_BOOT2:
      return optionPcrs.has(pcr) && BOOT_OPTION.test(variableName(data) ?? '')
        ? { name: 'boot options', match: 'each' }
        : partOfPcr(pcr);
    case EventType.EV_EFI_VARIABLE_DRIVER_CONFIG:
      return partOfVariable(variableName(data) ?? '', pcr);
    case EventType.EV_EFI_VARIABLE_AUTHORITY:
      // Named by the list that an image was found in: db is here no key store.
      return variableName(data) === 'SbatLevel' ? SHIM_REVOCATIONS : partOfPcr(pcr);
    case EventType.EV_EFI_HANDOFF_TABLES:
    case EventType.EV_EFI_HANDOFF_TABLES2:
      return { name: 'hand-off tables', match: 'whole' };
    case EventType.EV_EFI_GPT_EVENT:
    case EventType.EV_EFI_GPT_EVENT2:
      return PARTITION_TABLE;
    case EventType.EV_EFI_BOOT_SERVICES_APPLICATION:
      if (pcr !== 4) return partOfPcr(pcr);
      return isFromFirmware(data) ? { name: 'firmware applications', match: 'whole' } : IMAGE;
    case EventType.EV_EVENT_TAG:
      return partOfTag(data, pcr);
    case EventType.EV_IPL:
      return KERNEL_COMMAND_LINE.equals(data.subarray(0, KERNEL_COMMAND_LINE.length))
        ? { name: 'command line', match: 'whole' }
        : partOfPcr(pcr);
    default:
      return partOfPcr(pcr);
  }
}

function partOfTag(data: Uint8Array, pcr: number): Part {
  const id = data.length < 4 ? undefined : Buffer.from(data.buffer, data.byteOffset, 4).readUInt32LE(0);
  if (id === INITRD_TAG) return { name: 'initrd', match: 'whole' };
  return id === LOAD_OPTIONS_TAG ? { name: 'command line', match: 'whole' } : partOfPcr(pcr);
}

/** UEFI_VARIABLE_DATA's name; undefined where it has none, or one too long to be of interest. */
function variableName(data: Uint8Array): string | undefined {
  if (data.length < VARIABLE_HEADER_SIZE) return undefined;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  const length = bytes.readBigUInt64LE(16);
  if (length > LONGEST_NAME) return undefined;
  return withoutFinalNuls(bytes.toString('utf16le', VARIABLE_HEADER_SIZE, VARIABLE_HEADER_SIZE + Number(length) * 2));
}

/** A device path that begins with a PI firmware volume (UEFI PI 1.8, volume 3): media path, sub-type 7. */
function isFromFirmware(data: Uint8Array): boolean {
  return data[32] === 0x04 && data[33] === 0x07;
}

/**
 * The parts of PCR 4's images, in their order. shim and GRUB have the kernel measured twice: equal images that follow each
 * other are one. The last is the kernel where the boot measured what only loaded kernels have (`hasKernel`).
 */
export function partsOfImages(digests: readonly string[], hasKernel: boolean): readonly Part[] {
  const groups: number[] = [];
  for (const [i, value] of digests.entries()) groups.push((groups[i - 1] ?? 0) + (digests[i - 1] === value ? 0 : 1));
  const last = groups.at(-1);
  return groups.map((group) => ({
    name: hasKernel && group === last ? 'kernel' : `boot loader ${group}`,
    match: 'whole',
  }));
}

/** By the path's last part: nothing else in the log tells a loader. */
export function isLoaderFile(path: string): boolean {
  return /(?:^|\\)(?:grub|shim)[^\\]*$/i.test(path);
}

/** Components that only a boot that loaded a kernel has. */
export function isOfKernel(part: string): boolean {
  return part === 'initrd' || part === 'command line' || part === 'unified kernel image';
}
