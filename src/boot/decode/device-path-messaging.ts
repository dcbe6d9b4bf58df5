/** Messaging nodes: buses and networks (UEFI 2.10, 10.3.4). */
import { ByteReader, toHex, withoutFinalNuls } from '../../bytes/index.ts';
import { hex, type NodeText, vendorNode } from './device-path-platform.ts';
import { readGuid } from './guid.ts';

const WHAT = 'messaging node';

export const messagingNode: NodeText = (subType, body) => MESSAGING[subType]?.(new ByteReader(body));

const MESSAGING: Readonly<Record<number, (reader: ByteReader) => string>> = {
  1: (r) => {
    const channel = r.u8(WHAT) === 0 ? 'Primary' : 'Secondary';
    return `Ata(${channel},${r.u8(WHAT) === 0 ? 'Master' : 'Slave'},${hex(r.u16le(WHAT))})`;
  },
  2: (r) => `Scsi(${hex(r.u16le(WHAT))},${hex(r.u16le(WHAT))})`,
  3: (r) => `Fibre(${hex(afterReserved(r).u64le(WHAT))},${hex(r.u64le(WHAT))})`,
  4: (r) => `I1394(${afterReserved(r).u64le(WHAT).toString(16).padStart(16, '0')})`,
  5: (r) => `USB(${hex(r.u8(WHAT))},${hex(r.u8(WHAT))})`,
  6: (r) => `I2O(${hex(r.u32le(WHAT))})`,
  9: infiniband,
  10: vendorMessage,
  11: mac,
  12: ipv4,
  13: ipv6,
  14: uart,
  15: usbClass,
  16: usbWwid,
  17: (r) => `Unit(${hex(r.u8(WHAT))})`,
  18: (r) => `Sata(${hex(r.u16le(WHAT))},${hex(r.u16le(WHAT))},${hex(r.u16le(WHAT))})`,
  19: iscsi,
  20: (r) => `Vlan(${r.u16le(WHAT)})`,
  21: (r) => `FibreEx(0x${toHex(afterReserved(r).bytes(8, WHAT))},0x${toHex(r.bytes(8, WHAT))})`,
  22: (r) => {
    const address = toHex(r.bytes(8, WHAT));
    const lun = toHex(r.bytes(8, WHAT));
    const topology = hex(r.u16le(WHAT));
    return `SasEx(0x${address},0x${lun},${hex(r.u16le(WHAT))},${topology})`;
  },
  23: (r) => `NVMe(${hex(r.u32le(WHAT))},${dashed(Buffer.from(r.bytes(8, WHAT)).reverse())})`,
  24: (r) => `Uri(${withoutFinalNuls(Buffer.from(r.rest()).toString('latin1'))})`,
  25: (r) => `UFS(${hex(r.u8(WHAT))},${hex(r.u8(WHAT))})`,
  26: (r) => `SD(${hex(r.u8(WHAT))})`,
  27: (r) => `Bluetooth(${toHex(r.bytes(6, WHAT))})`,
  28: (r) => `Wi-Fi(${withoutFinalNuls(Buffer.from(r.bytes(32, WHAT)).toString('utf8'))})`,
  29: (r) => `eMMC(${hex(r.u8(WHAT))})`,
  30: (r) => `BluetoothLE(${toHex(r.bytes(6, WHAT))},${hex(r.u8(WHAT))})`,
  31: dns,
  32: (r) => `NVDIMM(${readGuid(r, WHAT)})`,
  33: (r) => `RestService(${hex(r.u8(WHAT))},${hex(r.u8(WHAT))})`,
  34: (r) => {
    const type = r.u8(WHAT);
    const nid = toHex(r.bytes(16, WHAT));
    return `NVMEoF(${withoutFinalNuls(Buffer.from(r.rest()).toString('utf8'))},${hex(type)}-${nid})`;
  },
};

/** Four reserved bytes begin some nodes. */
function afterReserved(reader: ByteReader): ByteReader {
  reader.u32le(WHAT);
  return reader;
}

function dashed(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join('-');
}

function infiniband(reader: ByteReader): string {
  const flags = hex(reader.u32le(WHAT));
  const gid = readGuid(reader, WHAT);
  return `Infiniband(${flags},${gid},${hex(reader.u64le(WHAT))},${hex(reader.u64le(WHAT))},${hex(reader.u64le(WHAT))})`;
}

/** Terminals (UEFI 2.10, 10.3.4.17), named without their GUID. */
const TERMINALS: Readonly<Record<string, string>> = {
  'e0c14753-f9be-11d2-9a0c-0090273fc14d': 'VenPcAnsi()',
  'dfa66065-b419-11d3-9a2d-0090273fc14d': 'VenVt100()',
  '7baec70b-57e0-4c76-8e87-2f9e28088343': 'VenVt100Plus()',
  'ad15a0d6-8bec-4acf-a073-d01de77e2d88': 'VenUtf8()',
};

function vendorMessage(reader: ByteReader): string {
  const body = reader.rest();
  const guid = readGuid(new ByteReader(body), WHAT);
  const terminal = Object.hasOwn(TERMINALS, guid) ? TERMINALS[guid] : undefined;
  return terminal ?? vendorNode('VenMsg', new ByteReader(body));
}

/** 32 bytes are kept for an address, of which Ethernet uses six. */
function mac(reader: ByteReader): string {
  const address = reader.bytes(32, WHAT);
  const type = reader.u8(WHAT);
  return `MAC(${toHex(address.subarray(0, type <= 1 ? 6 : 32))},${hex(type)})`;
}

const protocolName = (protocol: number): string => (protocol === 17 ? 'UDP' : protocol === 6 ? 'TCP' : hex(protocol));

function ipv4(reader: ByteReader): string {
  const address = (): string => [...reader.bytes(4, WHAT)].join('.');
  const local = address();
  const remote = address();
  reader.u32le(WHAT); // ports
  const protocol = protocolName(reader.u16le(WHAT));
  const origin = reader.u8(WHAT) === 0 ? 'DHCP' : 'Static';
  // Gateway and mask came later: an old node ends here.
  const rest = reader.remaining >= 8 ? `,${address()},${address()}` : '';
  return `IPv4(${remote},${protocol},${origin},${local}${rest})`;
}

function ipv6Address(bytes: Uint8Array): string {
  const groups: string[] = [];
  for (let i = 0; i < bytes.length; i += 2) groups.push(toHex(bytes.subarray(i, i + 2)).replace(/^0{1,3}/, ''));
  return groups.join(':');
}

function ipv6(reader: ByteReader): string {
  const local = ipv6Address(reader.bytes(16, WHAT));
  const remote = ipv6Address(reader.bytes(16, WHAT));
  reader.u32le(WHAT); // ports
  const protocol = protocolName(reader.u16le(WHAT));
  const value = reader.u8(WHAT);
  const origin = value === 0 ? 'Static' : value === 1 ? 'StatelessAutoConfigure' : 'StatefulAutoConfigure';
  const rest = reader.remaining >= 17 ? `,${hex(reader.u8(WHAT))},${ipv6Address(reader.bytes(16, WHAT))}` : '';
  return `IPv6(${remote},${protocol},${origin},${local}${rest})`;
}

function uart(reader: ByteReader): string {
  afterReserved(reader);
  const rate = reader.u64le(WHAT);
  const bits = reader.u8(WHAT);
  const parity = 'DNEOMS'.charAt(reader.u8(WHAT)) || 'x';
  const stop = ['D', '1', '1.5', '2'][reader.u8(WHAT)] ?? 'x';
  return `Uart(${rate === 0n ? 'DEFAULT' : rate},${bits === 0 ? 'DEFAULT' : bits},${parity},${stop})`;
}

function usbClass(reader: ByteReader): string {
  const ids = [hex(reader.u16le(WHAT)), hex(reader.u16le(WHAT))];
  const classes = [hex(reader.u8(WHAT)), hex(reader.u8(WHAT)), hex(reader.u8(WHAT))];
  return `UsbClass(${[...ids, ...classes].join(',')})`;
}

function usbWwid(reader: ByteReader): string {
  const port = hex(reader.u16le(WHAT));
  const vendor = hex(reader.u16le(WHAT));
  const product = hex(reader.u16le(WHAT));
  const serial = withoutFinalNuls(Buffer.from(reader.rest()).toString('utf16le'));
  return `UsbWwid(${vendor},${product},${port},"${serial}")`;
}

function iscsi(reader: ByteReader): string {
  const protocol = reader.u16le(WHAT) === 0 ? 'TCP' : 'reserved';
  const options = reader.u16le(WHAT);
  const lun = toHex(reader.bytes(8, WHAT));
  const portal = reader.u16le(WHAT);
  const target = withoutFinalNuls(Buffer.from(reader.rest()).toString('latin1'));
  const headerDigest = (options & 0x2) !== 0 ? 'CRC32C' : 'None';
  const dataDigest = (options & 0x8) !== 0 ? 'CRC32C' : 'None';
  const authentication = (options & 0x800) !== 0 ? 'None' : (options & 0x1000) !== 0 ? 'CHAP_UNI' : 'CHAP_BI';
  return `iSCSI(${target},${hex(portal)},0x${lun},${headerDigest},${dataDigest},${authentication},${protocol})`;
}

function dns(reader: ByteReader): string {
  const isIpv6 = reader.u8(WHAT) !== 0;
  const servers: string[] = [];
  while (reader.remaining > 0) {
    const address = reader.bytes(16, WHAT);
    servers.push(isIpv6 ? ipv6Address(address) : [...address.subarray(0, 4)].join('.'));
  }
  return `Dns(${servers.join(',')})`;
}
