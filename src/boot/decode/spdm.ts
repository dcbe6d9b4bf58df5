import type { ByteReader } from '../../bytes/index.ts';
import type { SpdmEvent } from './decoded-event.ts';
import { readDevicePath } from './device-path.ts';
import { readLatin1, readLength64 } from './text.ts';

const DEVICE_TYPES: Readonly<Record<number, string>> = { 1: 'PCI', 2: 'USB' };

/**
 * TCG_DEVICE_SECURITY_EVENT_DATA and its second version (TCG PC Client Platform Firmware Profile 1.06, 10.2.7).
 * @throws {ParseError}
 */
export function readSpdm(reader: ByteReader): SpdmEvent {
  const at = reader.offset;
  const signature = readLatin1(reader, 16, 'SPDM event, signature');
  if (signature === 'SPDM Device Sec') return readVersion1(reader);
  if (signature === 'SPDM Device Sec2') return readVersion2(reader);
  return reader.fail('parse.unknown-value', 'SPDM event, signature', 'is none that is known', at);
}

function readVersion1(reader: ByteReader): SpdmEvent {
  reader.u32le('SPDM event, version and length');
  reader.u32le('SPDM event, hash algorithm');
  const deviceType = reader.u32le('SPDM event, device type');
  reader.u16le('SPDM measurement, index and specification');
  const measurement = reader.bytes(reader.u16le('SPDM measurement, size'), 'SPDM measurement');
  const devicePath = readPath(reader);
  return { version: 1, ...typeOf(deviceType), devicePath, measurement, context: reader.rest() };
}

function readVersion2(reader: ByteReader): SpdmEvent {
  reader.u16le('SPDM event, version');
  const authState = reader.u8('SPDM event, authentication state');
  reader.u8('SPDM event, reserved');
  reader.u32le('SPDM event, length');
  const deviceType = reader.u32le('SPDM event, device type');
  reader.u32le('SPDM event, sub-header type');
  const size = reader.u32le('SPDM event, sub-header length');
  reader.u64le('SPDM event, sub-header UID');
  const devicePath = readPath(reader);
  const measurement = reader.bytes(size, 'SPDM event, sub-header');
  return { version: 2, ...typeOf(deviceType), authState, devicePath, measurement, context: reader.rest() };
}

function readPath(reader: ByteReader): SpdmEvent['devicePath'] {
  const size = readLength64(reader, 'SPDM event, device path size');
  return readDevicePath(reader.section(size, 'SPDM event, device path'));
}

function typeOf(deviceType: number): Pick<SpdmEvent, 'deviceType' | 'deviceTypeName'> {
  return { deviceType, deviceTypeName: DEVICE_TYPES[deviceType] };
}
