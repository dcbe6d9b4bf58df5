import { type DigestAlgorithm, digest, withoutFinalNuls } from '../bytes/index.ts';
import { EventType } from './event-types.ts';
import type { BootEvent } from './log.ts';

/** What GRUB writes before the text that it measures (grub-core/kern/verifiers.c users: commands, Linux, modules). */
const GRUB_PREFIXES = ['grub_cmd: ', 'kernel_cmdline: ', 'module_cmdline: '].map((prefix) => Buffer.from(prefix));
/** Where GRUB measures such text (grub-core/commands/tpm.c). */
export const GRUB_PCR = 8;
/** UEFI_VARIABLE_DATA: GUID, then the lengths of name (in UTF-16 units) and data. */
const VARIABLE_HEADER_SIZE = 32;

/**
 * Whether an event's payload is what its digest was made over, and so as true as the PCR:
 * - `matches`: it is. Only then may anything be concluded from the payload.
 * - `differs`: the type says that the digest is over the payload, and it is not.
 * - `not-defined`: the digest is over something else (a file, a firmware volume); the payload is a mere remark.
 */
export type PayloadMatch = 'matches' | 'differs' | 'not-defined';

/**
 * Compares an event's digest in one bank with its payload, by the rule of its type.
 * Source: TCG PC Client Platform Firmware Profile, "Event Descriptions"; GRUB's and systemd-stub's use of EV_IPL.
 * @returns `not-defined` also where the event has no digest in `bank`
 */
export function digestMatchesPayload(event: BootEvent, bank: DigestAlgorithm): PayloadMatch {
  const stored = event.digests.find(({ algorithm }) => algorithm === bank)?.value;
  if (stored === undefined) return 'not-defined';
  const rule = hashedForms(event);
  if (rule === undefined) return 'not-defined';
  const matches = rule.forms.some((form) => digest(bank, form).equals(stored));
  if (matches) return 'matches';
  return rule.binding ? 'differs' : 'not-defined';
}

interface HashedForms {
  /** What the digest may be over. */
  readonly forms: readonly Uint8Array[];
  /** The type leaves no other reading: where none matches, digest and payload contradict each other. */
  readonly binding: boolean;
}

function hashedForms({ pcr, type, data }: BootEvent): HashedForms | undefined {
  switch (type) {
    case EventType.EV_SEPARATOR:
    case EventType.EV_S_CRTM_VERSION:
    case EventType.EV_EFI_VARIABLE_DRIVER_CONFIG:
    case EventType.EV_EFI_GPT_EVENT:
    case EventType.EV_EFI_GPT_EVENT2:
      return { forms: [data], binding: true };
    case EventType.EV_EFI_VARIABLE_AUTHORITY:
      return { forms: [data, ...shimAuthority(data)], binding: true };
    case EventType.EV_ACTION:
    case EventType.EV_EFI_ACTION:
    case EventType.EV_OMIT_BOOT_DEVICE_EVENTS:
      // The string is measured without its NUL; some firmware logs one all the same.
      return { forms: [data, withoutNul(data)], binding: true };
    case EventType.EV_EFI_VARIABLE_BOOT:
    case EventType.EV_EFI_VARIABLE_BOOT2:
      // The profile's digest is over the variable's data alone; much firmware hashes the whole structure.
      return { forms: [data, ...variableData(data)], binding: true };
    case EventType.EV_EFI_SPDM_FIRMWARE_BLOB:
    case EventType.EV_EFI_SPDM_FIRMWARE_CONFIG:
    case EventType.EV_EFI_SPDM_DEVICE_POLICY:
    case EventType.EV_EFI_SPDM_DEVICE_AUTHORITY:
      // EDK II hashes what it logs (SecurityPkg, SpdmSecurityLib); other firmware the measurement alone.
      return { forms: [data], binding: false };
    case EventType.EV_EVENT_TAG:
      // The profile's is over the whole tagged event; boot loaders hash the file or text that it describes.
      return { forms: [data], binding: false };
    case EventType.EV_IPL:
      return { forms: iplForms(pcr, data), binding: false };
    default:
      return undefined;
  }
}

function withoutNul(data: Uint8Array): Uint8Array {
  return data[data.length - 1] === 0 ? data.subarray(0, -1) : data;
}

/**
 * A boot loader's own: GRUB hashes the text after its prefix, without the NUL; systemd-stub a UTF-16 string, with it.
 * The stub hashes the name of a section in one byte a letter and logs it in UTF-16 (systemd, tpm_log_event_ascii).
 * systemd-boot before 252 measures the final NUL in full and logs one byte of it (seen in the wild).
 */
function iplForms(pcr: number, data: Uint8Array): readonly Uint8Array[] {
  if (isUtf16(data)) {
    const whole = data.length % 2 === 1 ? Buffer.concat([data, Buffer.alloc(1)]) : data.subarray(0, -2);
    return [data, whole, ...sectionName(data)];
  }
  const text = withoutNul(data);
  const isPrefix = (candidate: Buffer): boolean => candidate.equals(text.subarray(0, candidate.length));
  const prefix = pcr === GRUB_PCR ? GRUB_PREFIXES.find(isPrefix) : undefined;
  return [data, text, ...(prefix === undefined ? [] : [text.subarray(prefix.length)])];
}

function sectionName(data: Uint8Array): readonly Uint8Array[] {
  const isName = data[0] === 0x2e && data.length <= 32 && data.every((byte, i) => i % 2 === 0 || byte === 0);
  return isName ? [data.filter((_, i) => i % 2 === 0)] : [];
}

/** Offsets in a UEFI_VARIABLE_DATA at which the variable's data begins and ends; undefined where they are not inside. */
function variableBounds(data: Uint8Array): { readonly start: number; readonly end: number } | undefined {
  if (data.length < VARIABLE_HEADER_SIZE) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const start = BigInt(VARIABLE_HEADER_SIZE) + view.getBigUint64(16, true) * 2n;
  const end = start + view.getBigUint64(24, true);
  return end <= BigInt(data.length) ? { start: Number(start), end: Number(end) } : undefined;
}

function variableData(data: Uint8Array): readonly Uint8Array[] {
  const bounds = variableBounds(data);
  return bounds?.end === data.length ? [data.subarray(bounds.start)] : [];
}

/** Old shim logs its structure with compiler padding after it, and hashes all of that but the last byte (seen in the wild). */
function shimAuthority(data: Uint8Array): readonly Uint8Array[] {
  const bounds = variableBounds(data);
  return bounds !== undefined && bounds.end < data.length ? [data.subarray(0, -1)] : [];
}

/**
 * The payload as text, for the types that carry plain text; undefined for the others and for bytes that are none.
 * It may hold control characters, and is **not vouched for** unless {@link digestMatchesPayload} says so.
 */
export function payloadText({ type, data }: BootEvent): string | undefined {
  switch (type) {
    case EventType.EV_S_CRTM_VERSION:
    case EventType.EV_ACTION:
    case EventType.EV_EFI_ACTION:
    case EventType.EV_OMIT_BOOT_DEVICE_EVENTS:
    case EventType.EV_IPL:
    case EventType.EV_EFI_HCRTM_EVENT:
      return decodeText(data);
    default:
      return undefined;
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Little endian with NUL as second byte, as every Latin text has it. */
export function isUtf16(data: Uint8Array): boolean {
  return data.length >= 4 && data[0] !== 0 && data[1] === 0 && data[2] !== 0 && data[3] === 0;
}

/** UTF-16 where it looks so, else UTF-8; trailing NULs are dropped. */
export function decodeText(data: Uint8Array): string | undefined {
  try {
    const text = isUtf16(data) ? Buffer.from(data).toString('utf16le') : UTF8.decode(data);
    return withoutFinalNuls(text);
  } catch {
    return undefined;
  }
}
