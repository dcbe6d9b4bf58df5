/** An event's payload in tpm2_eventlog's YAML (tpm2-tools 5.4, lib/tpm2_eventlog_yaml.c: yaml_event2data). */
import { ByteReader, ParseError, toHex } from '../../bytes/index.ts';
import { readGuid } from '../decode/guid.ts';
import { readUtf16 } from '../decode/text.ts';
import { EventType } from '../event-types.ts';
import type { BootEvent } from '../log.ts';
import { hexEvent, quoted, stringBlock, textEvent, untilNul } from './text.ts';
import { variableEvent } from './variable.ts';

const STARTUP_LOCALITY = Buffer.from('StartupLocality\0', 'latin1');
const BLOB_SIZE = 16;

/** Far above any payload of a real boot; a larger one, of line ends alone, would become a hundred times its size in memory. */
const MAX_SIZE = 1 << 20;

/** The lines below `EventSize`. A payload that is not in the form of its type, or larger than 1 MiB, is shown as hex. */
export function payloadLines(event: BootEvent, version: 1 | 2): string[] {
  if (event.data.length === 0) return [];
  if (event.data.length > MAX_SIZE) return hexEvent(event.data);
  try {
    return linesOf(event, version);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return hexEvent(event.data);
  }
}

function linesOf(event: BootEvent, version: 1 | 2): string[] {
  const { type, data } = event;
  switch (type) {
    case EventType.EV_EFI_VARIABLE_DRIVER_CONFIG:
    case EventType.EV_EFI_VARIABLE_BOOT:
    case EventType.EV_EFI_VARIABLE_BOOT2:
    case EventType.EV_EFI_VARIABLE_AUTHORITY:
      return variableEvent(event, version);
    case EventType.EV_POST_CODE:
      return data.length === BLOB_SIZE ? blob(new ByteReader(data)) : textEvent(data);
    case EventType.EV_S_CRTM_CONTENTS:
      return isBlob2(data) ? blob2(data) : blob(new ByteReader(data));
    case EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB:
      return blob(new ByteReader(data));
    case EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB2:
      return blob2(data);
    case EventType.EV_EFI_ACTION:
    case EventType.EV_EFI_HCRTM_EVENT:
      return textEvent(data);
    case EventType.EV_IPL:
      return ['  Event:', '    String: |-', stringBlock(data, '      ')];
    case EventType.EV_EFI_BOOT_SERVICES_APPLICATION:
    case EventType.EV_EFI_BOOT_SERVICES_DRIVER:
    case EventType.EV_EFI_RUNTIME_SERVICES_DRIVER:
      return imageLoad(new ByteReader(data));
    case EventType.EV_EFI_GPT_EVENT:
      return version === 2 ? gpt(new ByteReader(data)) : hexEvent(data);
    case EventType.EV_NO_ACTION:
      return version === 2 ? (startupLocality(data) ?? hexEvent(data)) : hexEvent(data);
    default:
      return hexEvent(data);
  }
}

const hex64 = (reader: ByteReader, what: string): string => `0x${reader.u64le(what).toString(16)}`;
const hex32 = (reader: ByteReader, what: string): string => `0x${reader.u32le(what).toString(16)}`;

function blob(reader: ByteReader): string[] {
  return [
    '  Event:',
    `    BlobBase: ${hex64(reader, 'blob, address')}`,
    `    BlobLength: ${hex64(reader, 'blob, length')}`,
  ];
}

/** UEFI_PLATFORM_FIRMWARE_BLOB2 stands in EV_S_CRTM_CONTENTS too (PC Client PFP 1.05 and later). */
function isBlob2(data: Uint8Array): boolean {
  return data.length === 1 + (data[0] ?? 0) + BLOB_SIZE;
}

/** The description is bytes to tpm2_eventlog. Its 5.4 leaves the last one out (5.5 has it). */
function blob2(data: Uint8Array): string[] {
  const reader = new ByteReader(data);
  const size = reader.u8('blob, description size');
  const description = toHex(reader.bytes(size, 'blob, description'));
  const [head = '', ...place] = blob(reader);
  return [head, `    BlobDescriptionSize: ${size}`, `    BlobDescription: "${description}"`, ...place];
}

/** UEFI_IMAGE_LOAD_EVENT. As device path stands the rest of the event; Debian's tpm2_eventlog shows its bytes. */
function imageLoad(reader: ByteReader): string[] {
  return [
    '  Event:',
    `    ImageLocationInMemory: ${hex64(reader, 'image, address')}`,
    `    ImageLengthInMemory: ${reader.u64le('image, length')}`,
    `    ImageLinkTimeAddress: ${hex64(reader, 'image, link-time address')}`,
    `    LengthOfDevicePath: ${reader.u64le('image, device path size')}`,
    `    DevicePath: '${toHex(reader.rest())}'`,
  ];
}

/** UEFI_GPT_DATA (UEFI 2.10, 5.3). @throws {ParseError} also where bytes are left over */
function gpt(reader: ByteReader): string[] {
  const lines = ['  Event:', '    Header:'];
  const line = (name: string, value: string | number | bigint): void => {
    lines.push(`      ${name}: ${value}`);
  };
  line('Signature', quoted(untilNul(Buffer.from(reader.bytes(8, 'GPT, signature')).toString('latin1'))));
  line('Revision', hex32(reader, 'GPT, revision'));
  line('HeaderSize', reader.u32le('GPT, header size'));
  line('HeaderCRC32', hex32(reader, 'GPT, header CRC'));
  reader.u32le('GPT, reserved');
  for (const name of ['MyLBA', 'AlternateLBA', 'FirstUsableLBA', 'LastUsableLBA']) line(name, hex64(reader, name));
  line('DiskGUID', readGuid(reader, 'GPT, disk'));
  line('PartitionEntryLBA', hex64(reader, 'GPT, place of entries'));
  line('NumberOfPartitionEntry', reader.u32le('GPT, number of entries'));
  line('SizeOfPartitionEntry', reader.u32le('GPT, entry size'));
  line('PartitionEntryArrayCRC32', hex32(reader, 'GPT, CRC of entries'));
  const count = reader.u64le('GPT, partitions');
  lines.push(`    NumberOfPartitions: ${count}`, '    Partitions:');
  // Each reads 128 bytes, or ends the loop by a ParseError: a forged count costs nothing.
  const partitions: string[][] = [];
  for (let i = 0n; i < count; i++) partitions.push(partition(reader));
  reader.end('GPT event');
  return [...lines, ...partitions.flat()];
}

const NAME_UNITS = 36;

function partition(reader: ByteReader): string[] {
  return [
    `    - PartitionTypeGUID: ${readGuid(reader, 'partition, type')}`,
    `      UniquePartitionGUID: ${readGuid(reader, 'partition, GUID')}`,
    `      StartingLBA: ${hex64(reader, 'partition, first block')}`,
    `      EndingLBA: ${hex64(reader, 'partition, last block')}`,
    `      Attributes: ${hex64(reader, 'partition, attributes')}`,
    `      PartitionName: ${quoted(untilNul(readUtf16(reader, NAME_UNITS, 'partition, name')))}`,
  ];
}

function startupLocality(data: Uint8Array): string[] | undefined {
  const locality = data[STARTUP_LOCALITY.length];
  const isLocality = STARTUP_LOCALITY.equals(data.subarray(0, STARTUP_LOCALITY.length));
  return isLocality && locality !== undefined ? ['  Event:', `    StartupLocality: ${locality}`] : undefined;
}
