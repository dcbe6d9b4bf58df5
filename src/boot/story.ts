import type { DecodedEvent, DecodedPayload, ImageLoad, Variable, Vouched } from './decode/decoded-event.ts';
import { guidName } from './decode/guid.ts';
import type { LoadOption } from './decode/load-option.ts';
import type { Signature } from './decode/signature-list.ts';
import {
  isLaunchPcr,
  type LaunchEvent,
  type LaunchKind,
  launchKind,
  launchPcrUses,
  nameLaunchEvents,
} from './drtm/names.ts';
import { EventType } from './event-types.ts';
import { recordMatchesText, type UserspaceRecord } from './userspace-log.ts';

/** The stages of a boot, in the order in which they are told. */
export type StoryStage =
  | 'firmware'
  | 'configuration'
  | 'secure-boot'
  | 'option-roms'
  | 'boot-manager'
  | 'loader'
  /** A dynamic launch (DRTM): PCRs 17–22. */
  | 'launch'
  | 'kernel'
  | 'os';

export interface StoryLine {
  /** Of the event in the log. */
  readonly index: number;
  readonly pcr: number;
  readonly vouched: Vouched;
  /** What was measured; it may hold control characters that the log holds. */
  readonly text: string;
  readonly details: readonly string[];
}

export interface StoryChapter {
  readonly stage: StoryStage;
  readonly title: string;
  /** What is to be known before its lines: who launched, and what each PCR holds. */
  readonly notes: readonly string[];
  readonly lines: readonly StoryLine[];
}

const TITLES: Readonly<Record<StoryStage, string>> = {
  firmware: 'Firmware',
  configuration: 'Configuration',
  'secure-boot': 'Secure Boot',
  'option-roms': 'Option ROMs and drivers',
  'boot-manager': 'Boot manager',
  loader: 'Boot loader',
  launch: 'Dynamic launch',
  kernel: 'Kernel',
  os: 'Operating system',
};
const STAGES: readonly StoryStage[] = [
  'firmware',
  'configuration',
  'secure-boot',
  'option-roms',
  'boot-manager',
  'loader',
  'launch',
  'kernel',
  'os',
];

/** A boot told stage by stage: every event of the log once, in the log's order within its stage. */
export function tellBoot(events: readonly DecodedEvent[]): readonly StoryChapter[] {
  const lines = new Map<StoryStage, StoryLine[]>(STAGES.map((stage) => [stage, []]));
  const launch = events.filter(isOfLaunch).map(launchEvent);
  const launchNames = nameLaunchEvents(launch);
  for (const event of events) {
    const { index, pcr, vouched } = event;
    const text = launchNames.get(index) ?? sentence(event);
    lines.get(stageOf(event))?.push({ index, pcr, vouched, text, details: details(event.payload) });
  }
  return STAGES.flatMap((stage) => {
    const told = lines.get(stage) ?? [];
    const notes = stage === 'launch' ? launchNotes(launch) : [];
    return told.length === 0 ? [] : [{ stage, title: TITLES[stage], notes, lines: told }];
  });
}

/** systemd's records as a chapter of their own; nothing where there are none. */
export function tellUserspace(records: readonly UserspaceRecord[]): readonly StoryChapter[] {
  const lines = records.map((record): StoryLine => {
    const { index, pcr, eventType, text, digests } = record;
    const isVouched = digests.length > 0 && digests.every(({ algorithm }) => recordMatchesText(record, algorithm));
    const what = eventType === undefined ? 'measured' : eventType === 'phase' ? 'boot phase' : eventType;
    return {
      index,
      pcr,
      vouched: isVouched ? 'digest' : 'no-payload-rule',
      text: text === undefined ? what : `${what} '${text}'`,
      details: [],
    };
  });
  return lines.length === 0 ? [] : [{ stage: 'os', title: 'systemd’s own log', notes: [], lines }];
}

/** Events of PCRs 17–22, and TXT's record of its PCR map, which is in none. */
function isOfLaunch({ pcr, type }: DecodedEvent): boolean {
  return isLaunchPcr(pcr) || type === EventType.TXT_EVTYPE_PCR_MAPPING;
}

function launchEvent({ index, pcr, type, payload }: DecodedEvent): LaunchEvent {
  return { index, pcr, type, text: payload.kind === 'text' ? payload.text : undefined };
}

const LAUNCHES: Readonly<Record<LaunchKind, string>> = {
  'intel-txt': 'by Intel TXT',
  'amd-skinit': 'by AMD SKINIT',
  'secure-launch': 'as Linux Secure Launch logs it',
};

function launchNotes(launch: readonly LaunchEvent[]): readonly string[] {
  const kind = launchKind(launch);
  return kind === undefined ? [] : [LAUNCHES[kind], ...launchPcrUses(launch)];
}

/** Where PCRs alone do not say it, the payload does: PCR 4 holds boot manager, loader and kernel. */
function stageOf(event: DecodedEvent): StoryStage {
  const { pcr, payload } = event;
  if (isOfLaunch(event)) return 'launch';
  if (payload.kind === 'action' && /^exit-boot-services/.test(payload.action)) return 'kernel';
  if (payload.kind === 'image-load' && pcr === 4) return isKernelImage(payload) ? 'kernel' : 'loader';
  if (payload.kind === 'variable' && pcr === 1) {
    return /^(?:load-option|boot-order)$/.test(payload.value?.kind ?? '') ? 'boot-manager' : 'configuration';
  }
  if (payload.kind === 'ipl' && pcr === 8) return payload.role === 'kernel-cmdline' ? 'kernel' : 'loader';
  if (payload.kind === 'ipl' && pcr === 9) return 'loader';
  return PCR_STAGES[pcr] ?? 'os';
}

const PCR_STAGES: readonly (StoryStage | undefined)[] = [
  'firmware', // 0
  'configuration',
  'option-roms',
  'option-roms',
  'boot-manager', // 4
  'boot-manager',
  'firmware',
  'secure-boot',
  'loader', // 8
  'kernel',
  'os',
  'kernel',
  'kernel', // 12
  'kernel',
  'loader',
];

/** Device paths under which a kernel has no file: systemd-stub's (boot.c: STUB_PAYLOAD_GUID) and QEMU's `-kernel`. */
const STUB_PAYLOAD = 'VenMedia(55c5d1f8-04cd-46b5-8a20-e56cbb3052d0)';
const QEMU_KERNEL = 'VenMedia(1428f772-b64a-441e-b8c3-9ebdd7f893c7)';

export const isFromQemu = ({ devicePath: { text } }: ImageLoad): boolean => text.startsWith(QEMU_KERNEL);

/** By name: nothing in the event says it. GRUB starts the kernel from memory, with an empty path. */
export function isKernelImage({ devicePath: { text, file } }: ImageLoad): boolean {
  if (text === '' || text.startsWith(STUB_PAYLOAD) || text.startsWith(QEMU_KERNEL)) return true;
  return file !== undefined && /(?:vmlinu|bzImage|[\\/]linux|^linux)/i.test(file);
}

/** What an event measured, in words; it may hold control characters that the log holds. */
export function sentence({ typeName, type, payload, vouched }: DecodedEvent): string {
  switch (payload.kind) {
    case 'spec-id':
      return `crypto-agile log, version ${payload.versionMajor}.${payload.versionMinor} errata ${payload.errata}`;
    case 'old-spec-id':
      return `log of version ${payload.version}`;
    case 'startup-locality':
      return `the TPM was started from locality ${payload.locality}`;
    case 'sp800-155':
      return `the maker’s reference values are in manifest ${payload.referenceManifestGuid}`;
    case 'hcrtm-component':
      return `hardware root of trust measured ${payload.description}`;
    case 'no-action':
      return payload.signature === '' ? 'a remark that nothing measures' : `remark '${payload.signature}'`;
    case 'separator':
      return SEPARATORS[payload.meaning];
    case 'action':
    case 'hcrtm':
      return payload.text;
    case 'text':
      return type === S_CRTM_VERSION ? `version '${payload.text}'` : `${typeName} '${payload.text}'`;
    case 'variable':
      return variableSentence(payload, typeName);
    case 'image-load':
      return imageSentence(payload);
    case 'firmware-blob':
      return `${payload.description ?? 'firmware'}: ${payload.length} bytes at 0x${payload.address.toString(16)}`;
    case 'handoff-tables':
      return `tables: ${payload.tables.map(({ name, guid }) => name ?? guid).join(', ') || 'none'}`;
    case 'gpt':
      return `partition table of disk ${payload.diskGuid}: ${counted(payload.partitions.length, 'partition')}`;
    case 'ipl':
      // The stub measures a section's name, then its content under the same name.
      if (payload.role === 'stub-section' && vouched !== 'digest') return `content of section '${payload.text}'`;
      return `${IPL_ROLES[payload.role]} '${payload.text}'`;
    case 'tagged':
      return payload.name ?? `tagged event 0x${payload.id.toString(16)}`;
    case 'spdm':
      return `${payload.deviceTypeName ?? 'a'} device measured over SPDM: ${payload.devicePath.text || 'no path'}`;
    case 'unknown':
      return `${typeName}, ${payload.data.length} bytes`;
    case 'undecodable':
      return `${typeName}: ${payload.reason}`;
  }
}

const S_CRTM_VERSION = 0x08;

const SEPARATORS = {
  boundary: 'separator: the firmware hands over',
  error: 'separator that reports an error: the firmware could not measure',
  text: 'separator with a text',
  unknown: 'separator with a value that no specification defines',
} as const;

const IPL_ROLES = {
  'grub-cmd': 'GRUB ran',
  'grub-file': 'GRUB read',
  'kernel-cmdline': 'command line',
  'module-cmdline': 'module',
  'stub-section': 'section of the unified kernel image',
  systemd: 'systemd measured',
  mok: 'shim’s',
  text: 'boot loader:',
} as const;

function imageSentence({ devicePath: { text, file }, length }: ImageLoad): string {
  if (file !== undefined) return `started ${file}`;
  if (text === '') return `started an image that lay in memory (${length} bytes)`;
  return text.startsWith(STUB_PAYLOAD) ? 'started the kernel inside the unified kernel image' : `started ${text}`;
}

function variableSentence({ name, guid, data, value }: Variable, typeName: string): string {
  switch (value?.kind) {
    case 'boolean':
      return `${name} is ${value.value ? 'on' : 'off'}`;
    case 'boot-order':
      return `${name}: ${value.entries.join(', ') || 'empty'}`;
    case 'load-option':
      return `${name} '${value.description}'${value.active ? '' : ', inactive'}`;
    case 'signature-lists': {
      const all = value.lists.flatMap(({ signatures }) => signatures);
      const certificates = all.filter(({ content }) => content.kind === 'x509').length;
      return `${name}: ${counted(certificates, 'certificate')}, ${counted(all.length - certificates, 'hash or key', 'hashes or keys')}`;
    }
    case 'authority':
      return `an image was accepted by ${signatureText(value.signature)} of ${name}`;
    case 'sbat-level':
      return `SBAT level of ${value.date}`;
    case 'text':
      return `${name} '${value.text}'`;
    case 'undecodable':
      return `${name}: ${value.reason}`;
    case undefined: {
      const owner = guidName(guid) === undefined ? ` (${guid})` : '';
      return data.length === 0 ? `${name}${owner} is empty` : `${name}${owner}, ${data.length} bytes, ${typeName}`;
    }
  }
}

function details(payload: DecodedPayload): readonly string[] {
  switch (payload.kind) {
    case 'image-load':
      return payload.devicePath.text === '' ? [] : [payload.devicePath.text];
    case 'gpt':
      return payload.partitions.map(
        ({ name, guid, typeName, typeGuid }) => `${guid} '${name}', ${typeName ?? typeGuid}`,
      );
    case 'variable':
      return variableDetails(payload);
    case 'sp800-155':
      return [
        ...(payload.platform === undefined ? [] : [`platform: ${Object.values(payload.platform).join(' ')}`]),
        ...(payload.firmware === undefined
          ? []
          : [`firmware: ${payload.firmware.manufacturer} ${payload.firmware.version}`]),
        ...(payload.rimLocator?.text === undefined ? [] : [`reference: ${payload.rimLocator.text}`]),
      ];
    default:
      return [];
  }
}

function variableDetails({ value }: Variable): readonly string[] {
  switch (value?.kind) {
    case 'load-option':
      return loadOptionDetails(value);
    case 'signature-lists':
      return value.lists.flatMap(({ signatures }) => {
        const certificates = signatures.filter(({ content }) => content.kind === 'x509').map(signatureText);
        const others = signatures.length - certificates.length;
        return others === 0 ? certificates : [...certificates, counted(others, 'hash or key', 'hashes or keys')];
      });
    case 'sbat-level':
      return value.components.map(({ name, generation }) => `${name} ${generation}`);
    default:
      return [];
  }
}

function loadOptionDetails({ devicePath, optionalText }: LoadOption): readonly string[] {
  return [
    ...(devicePath.text === '' ? [] : [devicePath.text]),
    ...(optionalText === undefined ? [] : [`with '${optionalText}'`]),
  ];
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

function signatureText({ content }: Signature): string {
  switch (content.kind) {
    case 'x509':
      return `certificate '${content.subject}' (sha256 ${content.sha256.slice(0, 16)}…)`;
    case 'hash':
      return `hash ${content.value}`;
    case 'bytes':
      return `${content.data.length} bytes`;
  }
}
