import type { ByteReader } from '../../bytes/index.ts';
import type { FirmwareBlob, HandoffTable, ImageLoad, Tagged } from './decoded-event.ts';
import { readDevicePath } from './device-path.ts';
import { guidName, readGuid } from './guid.ts';
import { printableText, readCountedText, readLength64 } from './text.ts';

const TABLE_SIZE = 24;

/** UEFI_IMAGE_LOAD_EVENT. @throws {ParseError} */
export function readImageLoad(reader: ByteReader): ImageLoad {
  const address = reader.u64le('image, address');
  const length = reader.u64le('image, length');
  const linkTimeAddress = reader.u64le('image, link-time address');
  const size = readLength64(reader, 'image, device path size');
  return { address, length, linkTimeAddress, devicePath: readDevicePath(reader.section(size, 'image, device path')) };
}

/** UEFI_PLATFORM_FIRMWARE_BLOB. @throws {ParseError} */
export function readBlob(reader: ByteReader): FirmwareBlob {
  const blob = { address: reader.u64le('blob, address'), length: reader.u64le('blob, length') };
  reader.end('firmware blob');
  return blob;
}

/** UEFI_PLATFORM_FIRMWARE_BLOB2. @throws {ParseError} */
export function readBlob2(reader: ByteReader): FirmwareBlob {
  return { description: readCountedText(reader, 'blob, description'), ...readBlob(reader) };
}

/** UEFI_HANDOFF_TABLE_POINTERS. @throws {ParseError} */
export function readHandoffTables(reader: ByteReader): readonly HandoffTable[] {
  const at = reader.offset;
  const count = reader.u64le('hand-off tables, count');
  if (count * BigInt(TABLE_SIZE) > BigInt(reader.remaining)) {
    reader.fail('parse.truncated', 'hand-off tables, count', `${count}, ${reader.remaining} bytes are left`, at);
  }
  const tables: HandoffTable[] = [];
  for (let i = 0; i < count; i++) {
    const guid = readGuid(reader, 'hand-off table, GUID');
    tables.push({ guid, name: guidName(guid), address: reader.u64le('hand-off table, address') });
  }
  return tables;
}

/**
 * Ids of tagged events: Linux' EFI stub (drivers/firmware/efi/libstub/efistub.h), systemd (src/fundamental/tpm2-pcr.h).
 * The stub's digests are the initrd's and the command line's, not the tag's.
 */
const TAGS: ReadonlyMap<number, string> = new Map([
  [0x8f3b22ec, 'initrd that the kernel’s EFI stub loaded'],
  [0x8f3b22ed, 'command line of the kernel’s EFI stub'],
  [0xf5bc582a, 'loader.conf of systemd-boot'],
  [0x6c46f751, 'devicetree add-on of systemd-stub'],
  [0x49dffe0f, 'initrd add-on of systemd-stub'],
  [0xdac08e1a, 'microcode add-on of systemd-stub'],
]);

/** TCG_PCClientTaggedEvent. @throws {ParseError} */
export function readTagged(reader: ByteReader): Tagged {
  const id = reader.u32le('tagged event, id');
  const data = reader.bytes(reader.u32le('tagged event, size'), 'tagged event, data');
  return { id, name: TAGS.get(id), text: printableText(data), data };
}
