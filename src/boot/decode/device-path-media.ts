/** Media nodes (UEFI 2.10, 10.3.5). */
import { ByteReader, toHex, withoutFinalNuls } from '../../bytes/index.ts';
import { hex, type NodeText, vendorNode } from './device-path-platform.ts';
import { readGuid } from './guid.ts';

const RAM_DISKS: Readonly<Record<string, string>> = {
  '77ab535a-45fc-624b-5560-f7b281d1f96e': 'VirtualDisk',
  '3d5abd30-4175-87ce-6d64-d2ade523c4bb': 'VirtualCD',
  '5cea02c9-4d07-69d3-269f-4496fbe096f9': 'PersistentVirtualDisk',
  '08018188-42cd-bb48-100f-5387d53ded3d': 'PersistentVirtualCD',
};

export const mediaNode: NodeText = (subType, body) => {
  const reader = new ByteReader(body);
  const what = 'media node';
  switch (subType) {
    case 1:
      return hardDrive(reader);
    case 2:
      return `CDROM(${hex(reader.u32le(what))},${hex(reader.u64le(what))},${hex(reader.u64le(what))})`;
    case 3:
      return vendorNode('VenMedia', reader);
    case 4:
      return `File(${withoutFinalNuls(Buffer.from(reader.rest()).toString('utf16le'))})`;
    case 5:
      return `Media(${readGuid(reader, what)})`;
    case 6:
      return `FvFile(${readGuid(reader, what)})`;
    case 7:
      return `Fv(${readGuid(reader, what)})`;
    case 8:
      reader.u32le(what); // reserved
      return `Offset(${hex(reader.u64le(what))},${hex(reader.u64le(what))})`;
    case 9:
      return ramDisk(reader);
    default:
      return undefined;
  }
};

/** A partition; its signature's type says whether it is a GUID, a serial of an MBR, or nothing. */
function hardDrive(reader: ByteReader): string {
  const what = 'hard drive node';
  const number = reader.u32le(what);
  const start = hex(reader.u64le(what));
  const size = hex(reader.u64le(what));
  const signature = reader.bytes(16, what);
  reader.u8(what); // format of the table, which the signature's type tells as well
  const type = reader.u8(what);
  if (type === 1) return `HD(${number},MBR,${hex(new ByteReader(signature).u32le(what))},${start},${size})`;
  if (type === 2) return `HD(${number},GPT,${readGuid(new ByteReader(signature), what)},${start},${size})`;
  return `HD(${number},${type},${type === 0 ? '0' : toHex(signature)},${start},${size})`;
}

function ramDisk(reader: ByteReader): string {
  const what = 'RAM disk node';
  const start = hex(reader.u64le(what));
  const end = hex(reader.u64le(what));
  const type = readGuid(reader, what);
  const instance = hex(reader.u16le(what));
  const name = Object.hasOwn(RAM_DISKS, type) ? RAM_DISKS[type] : undefined;
  return name === undefined ? `RamDisk(${start},${end},${instance},${type})` : `${name}(${start},${end},${instance})`;
}
