import { ByteReader, type DigestAlgorithm, digestInfo } from '../../bytes/index.ts';
import { EventType, eventTypeName } from '../event-types.ts';
import type { BootEvent, BootLog } from '../log.ts';
import { digestMatchesPayload, isUtf16 } from '../payload.ts';
import { isExtended } from '../replay.ts';
import type { BootAction, DecodedEvent, DecodedPayload, Vouched } from './decoded-event.ts';
import { readBlob, readBlob2, readHandoffTables, readImageLoad, readTagged } from './firmware.ts';
import { readGpt } from './gpt.ts';
import { readGuid } from './guid.ts';
import { iplOf } from './ipl.ts';
import { readNoAction } from './no-action.ts';
import { readSpdm } from './spdm.ts';
import { printableText, readCountedText, textOf } from './text.ts';
import { readVariable, undecodable } from './variable.ts';

/**
 * Takes an event's payload apart. Never throws for what a log holds: a payload that is not in the form of its type is
 * `undecodable`, with the offset in the log, and one of an unknown type `unknown`.
 *
 * @param bank the bank whose digest is to vouch; left out: the one with the longest digests that the event has
 */
export function decodeEvent(event: BootEvent, log: BootLog, bank?: DigestAlgorithm): DecodedEvent {
  const { index, pcr, type } = event;
  const vouched = vouchedOf(event, bank ?? strongestBank(event));
  return { index, pcr, type, typeName: eventTypeName(type), vouched, payload: payloadOf(event, log, vouched) };
}

/** Every event of a log, decoded. */
export function decodeLog(log: BootLog, bank?: DigestAlgorithm): readonly DecodedEvent[] {
  return log.events.map((event) => decodeEvent(event, log, bank));
}

function strongestBank({ digests }: BootEvent): DigestAlgorithm | undefined {
  let best: DigestAlgorithm | undefined;
  for (const { algorithm } of digests) {
    if (algorithm === undefined) continue;
    if (best === undefined || digestInfo(algorithm).size > digestInfo(best).size) best = algorithm;
  }
  return best;
}

function vouchedOf(event: BootEvent, bank: DigestAlgorithm | undefined): Vouched {
  // An event that is in no PCR has a digest that nothing holds to anything.
  if (bank === undefined || !isExtended(event)) return 'no-payload-rule';
  const match = digestMatchesPayload(event, bank);
  return match === 'matches' ? 'digest' : match === 'differs' ? 'differs' : 'no-payload-rule';
}

/** Where the payload begins in the log: behind PCR, type, digests and size. The first record has the SHA-1 form always. */
function payloadOffset({ index, offset, digests }: BootEvent, { format }: BootLog): number {
  const head = offset + 8;
  if (format === 'sha1' || index === 0) return head + 20 + 4;
  return head + 4 + digests.reduce((sum, { value }) => sum + 2 + value.length, 0) + 4;
}

function payloadOf(event: BootEvent, log: BootLog, vouched: Vouched): DecodedPayload {
  // TXT's log as text has banks and no Spec ID event.
  const isSpecId = event.index === 0 && event.type === EventType.EV_NO_ACTION;
  if (isSpecId && log.specId !== undefined) return { kind: 'spec-id', ...log.specId };
  try {
    return readPayload(event, payloadOffset(event, log), vouched);
  } catch (error) {
    return undecodable(error);
  }
}

function readPayload(event: BootEvent, offset: number, vouched: Vouched): DecodedPayload {
  const { type, data, pcr } = event;
  const reader = new ByteReader(data, offset);
  switch (type) {
    case EventType.EV_NO_ACTION:
      return readNoAction(data, offset);
    case EventType.EV_SEPARATOR:
      return { kind: 'separator', meaning: separatorMeaning(data), data };
    case EventType.EV_ACTION:
    case EventType.EV_EFI_ACTION:
    case EventType.EV_OMIT_BOOT_DEVICE_EVENTS:
      return actionOf(textOf(data, 'action', offset));
    case EventType.EV_EFI_VARIABLE_DRIVER_CONFIG:
    case EventType.EV_EFI_VARIABLE_BOOT:
    case EventType.EV_EFI_VARIABLE_BOOT2:
    case EventType.EV_EFI_VARIABLE_AUTHORITY:
    case EventType.EV_EFI_SPDM_DEVICE_POLICY:
    case EventType.EV_EFI_SPDM_DEVICE_AUTHORITY:
      return { kind: 'variable', ...readVariable(event, offset) };
    case EventType.EV_EFI_BOOT_SERVICES_APPLICATION:
    case EventType.EV_EFI_BOOT_SERVICES_DRIVER:
    case EventType.EV_EFI_RUNTIME_SERVICES_DRIVER:
      return { kind: 'image-load', ...readImageLoad(reader) };
    case EventType.EV_EFI_GPT_EVENT:
    case EventType.EV_EFI_GPT_EVENT2:
      return { kind: 'gpt', ...readGpt(reader) };
    case EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB:
      return { kind: 'firmware-blob', ...readBlob(reader) };
    case EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB2:
    case EventType.EV_POST_CODE2:
      return { kind: 'firmware-blob', ...readBlob2(reader) };
    case EventType.EV_POST_CODE:
    case EventType.EV_S_CRTM_CONTENTS:
    case EventType.EV_CPU_MICROCODE:
    case EventType.EV_NONHOST_CODE:
      return blobOrText(data, reader);
    case EventType.EV_EFI_HANDOFF_TABLES:
      return { kind: 'handoff-tables', tables: readHandoffTables(reader) };
    case EventType.EV_EFI_HANDOFF_TABLES2:
      return {
        kind: 'handoff-tables',
        description: readCountedText(reader, 'hand-off tables, description'),
        tables: readHandoffTables(reader),
      };
    case EventType.EV_S_CRTM_VERSION:
      return versionOf(data, reader);
    case EventType.EV_EVENT_TAG:
      return taggedOrText(data, reader);
    case EventType.EV_IPL:
      return textOrUnknown(data, (text) => ({
        kind: 'ipl',
        ...iplOf(pcr, text, isUtf16(data), vouched === 'digest'),
      }));
    case EventType.EV_EFI_HCRTM_EVENT:
      return { kind: 'hcrtm', text: textOf(data, 'H-CRTM event', offset) };
    case EventType.EV_EFI_SPDM_FIRMWARE_BLOB:
    case EventType.EV_EFI_SPDM_FIRMWARE_CONFIG:
      return { kind: 'spdm', ...readSpdm(reader) };
    default:
      return textOrUnknown(data, (text) => ({ kind: 'text', text }));
  }
}

/** Mere text under this type stands in a published log of a TDX guest: `LOADED_IMAGE::LoadOptions`. */
function taggedOrText(data: Uint8Array, reader: ByteReader): DecodedPayload {
  const text = printableText(data);
  return text === undefined ? { kind: 'tagged', ...readTagged(reader) } : { kind: 'text', text };
}

function textOrUnknown(data: Uint8Array, make: (text: string) => DecodedPayload): DecodedPayload {
  const text = printableText(data);
  return text === undefined ? { kind: 'unknown', data } : make(text);
}

/** UTF-16 as a rule (OVMF: an empty one, two NULs); a GUID where the firmware's build is named by one. */
function versionOf(data: Uint8Array, reader: ByteReader): DecodedPayload {
  if (data.every((byte) => byte === 0)) return { kind: 'text', text: '' };
  const text = printableText(data);
  if (text === undefined && data.length === GUID_SIZE) return { kind: 'text', text: readGuid(reader, 'version') };
  return text === undefined ? { kind: 'unknown', data } : { kind: 'text', text };
}

const GUID_SIZE = 16;
const BLOB_SIZE = 16;

/** These types have a blob's place in old firmware, its second form in new, or a mere word as `ACPI DATA`. */
function blobOrText(data: Uint8Array, reader: ByteReader): DecodedPayload {
  const text = printableText(data);
  if (text !== undefined) return { kind: 'text', text };
  if (data.length === BLOB_SIZE) return { kind: 'firmware-blob', ...readBlob(reader) };
  if (data.length === BLOB_SIZE + 1 + (data[0] ?? 0)) return { kind: 'firmware-blob', ...readBlob2(reader) };
  return { kind: 'unknown', data };
}

/** TCG PC Client Platform Firmware Profile 1.06, 3.3.4: 0 or FFFFFFFF, and 1 for an error. */
function separatorMeaning(data: Uint8Array): 'boundary' | 'error' | 'text' | 'unknown' {
  const value = Buffer.from(data).toString('hex');
  if (value === '00000000' || value === 'ffffffff') return 'boundary';
  if (value === '01000000') return 'error';
  return printableText(data) === undefined ? 'unknown' : 'text';
}

/** The profile's strings (TCG PC Client Platform Firmware Profile 1.06, 10.4.4). */
const ACTIONS: readonly (readonly [text: RegExp, action: BootAction])[] = [
  [/^Calling EFI Application from Boot Option/, 'calling-boot-option'],
  [/^Returning from EFI Application from Boot Option/, 'returning-from-boot-option'],
  [/^Exit Boot Services Invocation/, 'exit-boot-services'],
  [/^Exit Boot Services Returned with Failure/, 'exit-boot-services-failed'],
  [/^Exit Boot Services Returned with Success/, 'exit-boot-services-succeeded'],
  [/^UEFI Debug Mode/, 'debugger'],
  [/^DMA Protection Disabled/, 'dma-protection-disabled'],
];

function actionOf(text: string): DecodedPayload {
  return { kind: 'action', action: ACTIONS.find(([form]) => form.test(text))?.[1] ?? 'other', text };
}
