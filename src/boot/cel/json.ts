/** CEL 1.0, "JSON Encoding": an array of records, or one a line, as systemd's log has them (RFC 7464 separators or none). */
import { digestInfo, digestInfoByTpmAlg, isDigestAlgorithm, ParseError, toHex } from '../../bytes/index.ts';
import { BootError } from '../error.ts';
import { eventTypeName, eventTypeNamed } from '../event-types.ts';
import type { EventDigest } from '../log.ts';
import type { CelContent, CelIndex, CelRecord } from './record.ts';

const INDEX_NAME = { pcr: 'pcr', 'nv-index': 'nv_index', 'cc-register': 'ccmr' } as const;
const RECORD_SEPARATOR = '\u001e';
const MAX_DIGESTS = 16;
const MAX_DIGEST_SIZE = 128;
const MAX_U32 = 0xffffffff;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** True where the first character that is no blank is one that JSON (or an RFC 7464 sequence) begins with. */
export function looksLikeCelJson(bytes: Uint8Array): boolean {
  const first = bytes.find((byte) => byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d);
  return first === 0x5b || first === 0x7b || first === 0x1e;
}

/** @throws {ParseError} at the line's offset, or at 0 for an array */
export function parseCelJson(bytes: Uint8Array): CelRecord[] {
  const text = decode(bytes);
  if (text.trimStart().startsWith('[')) {
    const parsed = parseJson(text, 'canonical event log', 0);
    if (!Array.isArray(parsed)) throw new ParseError('parse.invalid', 'canonical event log', 0, 'not an array');
    return parsed.map((item: unknown, i) => recordOf(item, i, 0));
  }
  const records: CelRecord[] = [];
  let offset = 0;
  for (const line of text.split('\n')) {
    const json = (line.startsWith(RECORD_SEPARATOR) ? line.slice(1) : line).trim();
    if (json !== '') {
      records.push(recordOf(parseJson(json, `record ${records.length}`, offset), records.length, offset));
    }
    offset += Buffer.byteLength(line) + 1;
  }
  return records;
}

function decode(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new ParseError('parse.invalid', 'canonical event log', 0, 'not UTF-8');
  }
}

function parseJson(text: string, what: string, offset: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ParseError('parse.invalid', what, offset, 'not JSON');
  }
}

function recordOf(item: unknown, position: number, offset: number): CelRecord {
  const fail: Fail = (detail) => {
    throw new ParseError('parse.invalid', `record ${position}`, offset, detail);
  };
  const record = objectOf(item) ?? fail('not a JSON object');
  // systemd's log has no record numbers: their place is their number.
  const recnum = record.recnum ?? position;
  if (typeof recnum !== 'number' || !Number.isSafeInteger(recnum) || recnum < 0) return fail('recnum is no number');
  return { recnum, index: indexOf(record, fail), digests: digestsOf(record, fail), content: contentOf(record, fail) };
}

type Fail = (detail: string) => never;

function objectOf(value: unknown): Record<string, unknown> | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? Object.fromEntries(Object.entries(value)) : undefined;
}

function indexOf(record: Record<string, unknown>, fail: Fail): CelIndex {
  const kinds = ['pcr', 'nv-index', 'cc-register'] as const;
  const found = kinds.filter((kind) => record[INDEX_NAME[kind]] !== undefined);
  const [kind] = found;
  if (kind === undefined || found.length > 1) return fail('not one of pcr, nv_index and ccmr');
  const value = record[INDEX_NAME[kind]];
  if (typeof value !== 'number' || !isU32(value)) return fail(`${INDEX_NAME[kind]} is no number of 32 bits`);
  return { kind, value };
}

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_U32;
}

function digestsOf({ digests }: Record<string, unknown>, fail: Fail): EventDigest[] {
  if (!Array.isArray(digests) || digests.length > MAX_DIGESTS) return fail(`no list of at most ${MAX_DIGESTS} digests`);
  const parsed = digests.map((item: unknown) => digestOf(item, fail));
  if (new Set(parsed.map(({ tpmAlg }) => tpmAlg)).size !== parsed.length) return fail('two digests of one bank');
  return parsed;
}

function digestOf(item: unknown, fail: Fail): EventDigest {
  const { hashAlg, digest } = objectOf(item) ?? fail('a digest that is no object');
  if (typeof hashAlg !== 'string') return fail('hashAlg is no name');
  const value = bytesOf(digest, 'digest', fail);
  const tpmAlg = /^0x[0-9a-f]{1,4}$/.test(hashAlg)
    ? Number(hashAlg)
    : isDigestAlgorithm(hashAlg)
      ? digestInfo(hashAlg).tpmAlg
      : undefined;
  if (tpmAlg === undefined) return fail(`hashAlg ${JSON.stringify(hashAlg)} is not known`);
  const info = digestInfoByTpmAlg(tpmAlg);
  if (value.length === 0 || value.length > MAX_DIGEST_SIZE || (info !== undefined && info.size !== value.length)) {
    return fail(`a ${hashAlg} digest of ${value.length} bytes`);
  }
  return { tpmAlg, algorithm: info?.name, value };
}

function bytesOf(value: unknown, what: string, fail: Fail): Uint8Array {
  if (typeof value !== 'string' || !/^(?:[0-9a-fA-F]{2})*$/.test(value)) return fail(`${what} is no hex text`);
  return Buffer.from(value, 'hex');
}

function contentOf({ content_type: type, content }: Record<string, unknown>, fail: Fail): CelContent {
  if (typeof type !== 'string') return fail('content_type is no name');
  if (type === 'systemd') return { kind: 'systemd', json: content };
  if (type !== 'pcclient_std' && type !== 'ima_template') return { kind: 'json', contentType: type, json: content };
  const fields = objectOf(content) ?? fail('content is no object');
  if (type === 'pcclient_std') {
    const eventType = eventTypeOf(fields.event_type) ?? fail('event_type is neither a number nor a known name');
    return { kind: type, eventType, eventData: bytesOf(fields.event_data, 'event_data', fail) };
  }
  const templateName = fields.template_name;
  if (typeof templateName !== 'string') return fail('template_name is no text');
  return { kind: type, templateName, templateData: bytesOf(fields.template_data, 'template_data', fail) };
}

function eventTypeOf(value: unknown): number | undefined {
  // systemd-pcrlock writes the name, or the number in decimal, as text (src/pcrlock/pcrlock.c).
  if (typeof value === 'string' && /^[0-9]{1,10}$/.test(value)) return eventTypeOf(Number(value));
  if (typeof value === 'string') return eventTypeNamed(value);
  return typeof value === 'number' && isU32(value) ? value : undefined;
}

/**
 * An array, a record a line.
 * @throws {BootError} `boot.cel-content` for content that came as TLV and that Assay does not look into
 */
export function encodeCelJson(records: readonly CelRecord[]): Uint8Array {
  const lines = records.map((record) => JSON.stringify(jsonRecord(record)));
  return Buffer.from(lines.length === 0 ? '[]\n' : `[\n${lines.join(',\n')}\n]\n`);
}

function jsonRecord({ recnum, index, digests, content }: CelRecord): object {
  return {
    recnum,
    [INDEX_NAME[index.kind]]: index.value,
    digests: digests.map(({ tpmAlg, algorithm, value }) => ({
      hashAlg: algorithm ?? `0x${tpmAlg.toString(16)}`,
      digest: toHex(value),
    })),
    ...jsonContent(recnum, content),
  };
}

function jsonContent(recnum: number, content: CelContent): { content_type: string; content: unknown } {
  switch (content.kind) {
    case 'pcclient_std':
      return {
        content_type: content.kind,
        content: { event_type: eventTypeName(content.eventType), event_data: toHex(content.eventData) },
      };
    case 'ima_template':
      return {
        content_type: content.kind,
        content: { template_name: content.templateName, template_data: toHex(content.templateData) },
      };
    case 'systemd':
      return { content_type: content.kind, content: content.json };
    case 'json':
      return { content_type: content.contentType, content: content.json };
    case 'tlv':
      throw new BootError(
        'boot.cel-content',
        `record ${recnum}: content of type ${content.type} is carried in TLV only`,
        'write TLV',
      );
  }
}
