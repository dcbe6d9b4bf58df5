/** Hardware, ACPI and BIOS boot nodes (UEFI 2.10, 10.3.2, 10.3.3, 10.3.6). */
import { ByteReader, toHex } from '../../bytes/index.ts';
import { readGuid } from './guid.ts';
import { readLatin1 } from './text.ts';

/** A node's text from its body; undefined for a sub-type that is not known. @throws {ParseError} for a short body */
export type NodeText = (subType: number, body: Uint8Array) => string | undefined;

export function hex(value: number | bigint): string {
  return `0x${value.toString(16).toUpperCase()}`;
}

/** `Name(GUID)` or `Name(GUID,hex of the rest)`, as every vendor node has it. */
export function vendorNode(name: string, reader: ByteReader): string {
  const guid = readGuid(reader, 'vendor node');
  const rest = reader.rest();
  return `${name}(${guid}${rest.length === 0 ? '' : `,${toHex(rest)}`})`;
}

export const hardwareNode: NodeText = (subType, body) => {
  const reader = new ByteReader(body);
  const what = 'hardware node';
  switch (subType) {
    case 1: {
      const func = reader.u8(what);
      return `Pci(${hex(reader.u8(what))},${hex(func)})`;
    }
    case 2:
      return `PcCard(${hex(reader.u8(what))})`;
    case 3:
      return `MemoryMapped(${hex(reader.u32le(what))},${hex(reader.u64le(what))},${hex(reader.u64le(what))})`;
    case 4:
      return vendorNode('VenHw', reader);
    case 5:
      return `Ctrl(${hex(reader.u32le(what))})`;
    case 6:
      return `BMC(${hex(reader.u8(what))},${hex(reader.u64le(what))})`;
    default:
      return undefined;
  }
};

/** Low half of an EISA id: `PNP` in five-bit letters. */
const PNP = 0x41d0;
const PNP_NAMES: Readonly<Record<number, string>> = {
  2563: 'PciRoot',
  2568: 'PcieRoot',
  1540: 'Floppy',
  769: 'Keyboard',
  1281: 'Serial',
  1025: 'ParallelPort',
};

/** `PNP0A03`: three letters of five bits, then four digits. */
function eisaId(id: number): string {
  const letters = [10, 5, 0].map((shift) => String.fromCharCode(0x40 + ((id >>> shift) & 0x1f))).join('');
  return `${letters}${(id >>> 16).toString(16).toUpperCase().padStart(4, '0')}`;
}

export const acpiNode: NodeText = (subType, body) => {
  const reader = new ByteReader(body);
  const what = 'ACPI node';
  switch (subType) {
    case 1: {
      const hid = reader.u32le(what);
      const uid = hex(reader.u32le(what));
      const name = (hid & 0xffff) === PNP ? PNP_NAMES[hid >>> 16] : undefined;
      return name === undefined ? `Acpi(${eisaId(hid)},${uid})` : `${name}(${uid})`;
    }
    case 2:
      return expandedAcpi(reader);
    case 3: {
      const addresses: string[] = [];
      while (reader.remaining > 0) addresses.push(hex(reader.u32le(what)));
      return `AcpiAdr(${addresses.join(',')})`;
    }
    case 4:
      return `NvdimmAcpiAdr(${hex(reader.u32le(what))})`;
    default:
      return undefined;
  }
};

/** HID, UID and CID as numbers, then as strings, which win where they are not empty. */
function expandedAcpi(reader: ByteReader): string {
  const what = 'expanded ACPI node';
  const hid = reader.u32le(what);
  const uid = reader.u32le(what);
  const cid = reader.u32le(what);
  const [hidText = '', uidText = '', cidText = ''] = Buffer.from(reader.rest()).toString('latin1').split('\0');
  const id = (text: string, value: number): string => (text !== '' ? text : value === 0 ? '0' : eisaId(value));
  return `AcpiEx(${id(hidText, hid)},${id(cidText, cid)},${uidText === '' ? hex(uid) : uidText})`;
}

const BBS_DEVICES: Readonly<Record<number, string>> = {
  1: 'Floppy',
  2: 'HD',
  3: 'CDROM',
  4: 'PCMCIA',
  5: 'USB',
  6: 'Network',
};

export const bbsNode: NodeText = (subType, body) => {
  if (subType !== 1) return undefined;
  const reader = new ByteReader(body);
  const device = reader.u16le('BBS node');
  const flags = reader.u16le('BBS node');
  return `BBS(${BBS_DEVICES[device] ?? hex(device)},${readLatin1(reader, reader.remaining, 'BBS node')},${hex(flags)})`;
};
