/** CEL 1.0, "TLV Encoding": type u8, length u32 big endian, value; nested for digests and contents. */
import { ByteReader, ByteWriter, digestInfoByTpmAlg } from '../../bytes/index.ts';
import { BootError } from '../error.ts';
import type { EventDigest } from '../log.ts';
import { CEL_CONTENT_TYPE, type CelContent, type CelIndex, type CelRecord } from './record.ts';

const RECNUM = 0;
const DIGESTS = 3;
const INDEX_TYPE = { pcr: 1, 'nv-index': 2, 'cc-register': 0x6c } as const satisfies Record<CelIndex['kind'], number>;
/** Fields of pcclient_std (event type, event data) and of ima_template (template name, template data). */
const FIRST_FIELD = 0;
const SECOND_FIELD = 1;
const MAX_DIGESTS = 16;
const MAX_TEMPLATE_NAME = 255;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

interface Field {
  readonly type: number;
  readonly at: number;
  readonly value: ByteReader;
}

/** True for bytes that begin as a record does: a record number, then what was measured into. */
export function looksLikeCelTlv(bytes: Uint8Array): boolean {
  const size = bytes[4];
  if (bytes[0] !== RECNUM || bytes[1] !== 0 || bytes[2] !== 0 || bytes[3] !== 0) return false;
  if (size !== 1 && size !== 4 && size !== 8) return false;
  const [type, a, b, c, length] = bytes.subarray(5 + size, 10 + size);
  const isIndex = Object.values<number>(INDEX_TYPE).includes(type ?? -1);
  return isIndex && a === 0 && b === 0 && c === 0 && (length === 1 || length === 4);
}

/** @throws {ParseError} at the byte that is wrong */
export function parseCelTlv(bytes: Uint8Array): CelRecord[] {
  const reader = new ByteReader(bytes);
  const records: CelRecord[] = [];
  while (reader.remaining > 0) records.push(readRecord(reader, `record ${records.length}`));
  return records;
}

function readRecord(reader: ByteReader, what: string): CelRecord {
  const recnum = readField(reader, `${what}, record number`);
  if (recnum.type !== RECNUM) reader.fail('parse.invalid', what, 'does not begin with its number', recnum.at);
  const index = readIndex(readField(reader, `${what}, index`), `${what}, index`);
  const digests = readField(reader, `${what}, digests`);
  if (digests.type !== DIGESTS) reader.fail('parse.invalid', what, 'no digests after the index', digests.at);
  return {
    recnum: readNumber(recnum, `${what}, record number`),
    index,
    digests: readDigests(digests.value, `${what}, digests`),
    content: readContent(readField(reader, `${what}, content`), `${what}, content`),
  };
}

function readField(reader: ByteReader, what: string): Field {
  const at = reader.offset;
  const type = reader.u8(what);
  return { type, at, value: reader.section(reader.u32be(`${what}, length`), what) };
}

/** Writers differ: 1 byte, 4 or 8. */
function readNumber({ value }: Field, what: string): number {
  const at = value.offset;
  switch (value.remaining) {
    case 1:
      return value.u8(what);
    case 4:
      return value.u32be(what);
    case 8: {
      const number = value.u64be(what);
      if (number > BigInt(Number.MAX_SAFE_INTEGER)) value.fail('parse.too-large', what, `${number}`, at);
      return Number(number);
    }
    default:
      return value.fail('parse.invalid', what, `a number of ${value.remaining} bytes`, at);
  }
}

function readIndex(field: Field, what: string): CelIndex {
  const value = readNumber(field, what);
  if (field.type === INDEX_TYPE.pcr) return { kind: 'pcr', value };
  if (field.type === INDEX_TYPE['nv-index']) return { kind: 'nv-index', value };
  if (field.type === INDEX_TYPE['cc-register']) return { kind: 'cc-register', value };
  return field.value.fail('parse.unknown-value', what, `type ${field.type} is no index`, field.at);
}

function readDigests(reader: ByteReader, what: string): EventDigest[] {
  const digests: EventDigest[] = [];
  while (reader.remaining > 0) {
    const { type, at, value } = readField(reader, what);
    if (digests.length === MAX_DIGESTS) reader.fail('parse.too-large', what, `more than ${MAX_DIGESTS}`, at);
    if (digests.some(({ tpmAlg }) => tpmAlg === type)) reader.fail('parse.invalid', what, 'two of one bank', at);
    const info = digestInfoByTpmAlg(type);
    if (info !== undefined && info.size !== value.remaining) {
      reader.fail('parse.invalid', what, `a ${info.name} digest of ${value.remaining} bytes`, at);
    }
    digests.push({ tpmAlg: type, algorithm: info?.name, value: value.rest() });
  }
  return digests;
}

function readContent({ type, at, value }: Field, what: string): CelContent {
  switch (type) {
    case CEL_CONTENT_TYPE.pcclient_std: {
      const eventType = readNested(value, FIRST_FIELD, what);
      const eventData = readNested(value, SECOND_FIELD, what);
      value.end(what);
      return { kind: 'pcclient_std', eventType: readNumber(eventType, what), eventData: eventData.value.rest() };
    }
    case CEL_CONTENT_TYPE.ima_template: {
      const name = readNested(value, FIRST_FIELD, what);
      const data = readNested(value, SECOND_FIELD, what);
      value.end(what);
      if (name.value.remaining > MAX_TEMPLATE_NAME) value.fail('parse.too-large', what, 'template name', name.at);
      const templateName = decodeText(name.value, what);
      return { kind: 'ima_template', templateName, templateData: data.value.rest() };
    }
    case CEL_CONTENT_TYPE.systemd: {
      const text = decodeText(value, what);
      try {
        return { kind: 'systemd', json: JSON.parse(text) };
      } catch {
        return value.fail('parse.invalid', what, 'not JSON', at);
      }
    }
    default:
      return { kind: 'tlv', type, value: value.rest() };
  }
}

function readNested(reader: ByteReader, type: number, what: string): Field {
  const field = readField(reader, what);
  if (field.type !== type) reader.fail('parse.unknown-value', what, `field ${field.type}, not ${type}`, field.at);
  return field;
}

function decodeText(reader: ByteReader, what: string): string {
  const at = reader.offset;
  try {
    return UTF8.decode(reader.rest());
  } catch {
    return reader.fail('parse.invalid', what, 'not UTF-8', at);
  }
}

/** @throws {BootError} `boot.cel-content` for what the TLV form has no place for */
export function encodeCelTlv(records: readonly CelRecord[]): Uint8Array {
  const writer = new ByteWriter(64 * 1024);
  for (const record of records) {
    // Eight bytes and one, as Google's reader wants them; no other reader minds.
    writeField(writer, RECNUM, new ByteWriter(8).u64be(BigInt(record.recnum)).finish());
    const { kind, value } = record.index;
    const isShort = kind !== 'nv-index' && value <= 0xff;
    const index = isShort ? new ByteWriter(1).u8(value) : new ByteWriter(4).u32be(value);
    writeField(writer, INDEX_TYPE[kind], index.finish());
    writeField(writer, DIGESTS, encodeDigests(record));
    writeContent(writer, record);
  }
  return writer.finish();
}

function writeField(writer: ByteWriter, type: number, value: Uint8Array): void {
  writer.u8(type).u32be(value.length).bytes(value);
}

function encodeDigests({ recnum, digests }: CelRecord): Uint8Array {
  const writer = new ByteWriter();
  for (const { tpmAlg, value } of digests) {
    if (tpmAlg > 0xff) throw unfit(recnum, `the digest algorithm 0x${tpmAlg.toString(16)}`);
    writeField(writer, tpmAlg, value);
  }
  return writer.finish();
}

function writeContent(writer: ByteWriter, { recnum, content }: CelRecord): void {
  if (content.kind === 'json') throw unfit(recnum, `content of type ${JSON.stringify(content.contentType)}`);
  const type = content.kind === 'tlv' ? content.type : CEL_CONTENT_TYPE[content.kind];
  writeField(writer, type, encodeContent(content));
}

function encodeContent(content: Exclude<CelContent, { kind: 'json' }>): Uint8Array {
  const writer = new ByteWriter();
  switch (content.kind) {
    case 'pcclient_std':
      writeField(writer, FIRST_FIELD, new ByteWriter(4).u32be(content.eventType).finish());
      writeField(writer, SECOND_FIELD, content.eventData);
      return writer.finish();
    case 'ima_template':
      writeField(writer, FIRST_FIELD, Buffer.from(content.templateName));
      writeField(writer, SECOND_FIELD, content.templateData);
      return writer.finish();
    case 'systemd':
      // No specification divides it into fields: its JSON travels as text.
      return Buffer.from(JSON.stringify(content.json));
    case 'tlv':
      return content.value;
  }
}

function unfit(recnum: number, what: string): BootError {
  return new BootError('boot.cel-content', `record ${recnum}: ${what} has no place in CEL's TLV form`, 'write JSON');
}
