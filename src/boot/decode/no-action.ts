import { ByteReader } from '../../bytes/index.ts';
import type { DecodedPayload, HcrtmComponent, Locator, Sp800155 } from './decoded-event.ts';
import { readGuid } from './guid.ts';
import { printableText, readCountedText, readLatin1 } from './text.ts';

const SIGNATURE_SIZE = 16;

/**
 * EV_NO_ACTION, told by its signature (TCG PC Client Platform Firmware Profile 1.06, 10.4.5). None of it is in a PCR.
 * @throws {ParseError}
 */
export function readNoAction(data: Uint8Array, offset: number): DecodedPayload {
  const reader = new ByteReader(data, offset);
  if (data.length < SIGNATURE_SIZE) return { kind: 'no-action', signature: printableText(data) ?? '', data };
  const signature = readLatin1(reader, SIGNATURE_SIZE, 'signature');
  switch (signature) {
    case 'StartupLocality':
      return { kind: 'startup-locality', locality: reader.u8('StartupLocality') };
    case 'Spec ID Event00':
    case 'Spec ID Event02':
      return readOldSpecId(reader, signature);
    case 'SP800-155 Event':
      return { kind: 'sp800-155', ...readSp800155(reader, 1) };
    case 'SP800-155 Event2':
      return { kind: 'sp800-155', ...readSp800155(reader, 2) };
    case 'SP800-155 Event3':
      return { kind: 'sp800-155', ...readSp800155(reader, 3) };
    case 'H-CRTM CompMeas':
      return { kind: 'hcrtm-component', ...readHcrtmComponent(reader) };
    default:
      return { kind: 'no-action', signature: /^[\x20-\x7e]*$/.test(signature) ? signature : '', data };
  }
}

function readOldSpecId(reader: ByteReader, signature: string): DecodedPayload {
  reader.u32le('Spec ID event, platform class');
  const minor = reader.u8('Spec ID event, minor version');
  const major = reader.u8('Spec ID event, major version');
  return { kind: 'old-spec-id', signature, version: `${major}.${minor}.${reader.u8('Spec ID event, errata')}` };
}

/** TCG_Sp800_155_PlatformId_Event, Event2 and Event3. */
function readSp800155(reader: ByteReader, version: 1 | 2 | 3): Sp800155 {
  const manufacturerId = reader.u32le('SP800-155, manufacturer');
  const head = { version, manufacturerId, referenceManifestGuid: readGuid(reader, 'SP800-155, manifest') };
  if (version === 1) return head;
  const platform = {
    manufacturer: readCountedText(reader, 'SP800-155, platform maker'),
    model: readCountedText(reader, 'SP800-155, platform model'),
    version: readCountedText(reader, 'SP800-155, platform version'),
  };
  const firmware = {
    manufacturer: readCountedText(reader, 'SP800-155, firmware maker'),
    manufacturerId: reader.u32le('SP800-155, firmware maker'),
    version: readCountedText(reader, 'SP800-155, firmware version'),
  };
  if (version === 2) return { ...head, platform, firmware };
  const rimLocator = readLocator(reader, 'SP800-155, RIM locator');
  const platformCertificateLocator = readLocator(reader, 'SP800-155, platform certificate locator');
  return { ...head, platform, firmware, rimLocator, platformCertificateLocator };
}

function readLocator(reader: ByteReader, what: string): Locator {
  const type = reader.u32le(what);
  const data = reader.bytes(reader.u32le(`${what}, size`), what);
  return { type, text: printableText(data), data };
}

function readHcrtmComponent(reader: ByteReader): HcrtmComponent {
  const description = readCountedText(reader, 'H-CRTM component, description');
  const format = reader.u8('H-CRTM component, format');
  const size = reader.u16le('H-CRTM component, size');
  return { description, format, measurement: reader.bytes(size, 'H-CRTM component') };
}
