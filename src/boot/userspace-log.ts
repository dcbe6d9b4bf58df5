import { type DigestAlgorithm, digest, digestInfo, fromHex, isDigestAlgorithm, ParseError } from '../bytes/index.ts';
import type { ReplayedPcrs } from './log.ts';

/** One record of systemd's user-space measurement log (`/run/log/systemd/tpm2-measure.log`), a CEL-JSON dialect. */
export interface UserspaceRecord {
  /** Position in the log, from 0. */
  readonly index: number;
  /** Byte offset of the record's line. */
  readonly offset: number;
  readonly pcr: number;
  readonly digests: readonly { readonly algorithm: DigestAlgorithm; readonly value: Uint8Array }[];
  /** `systemd` in every record that systemd writes. */
  readonly contentType: string;
  /** The text measured, where the record has one. Vouched for only where {@link recordMatchesText} holds. */
  readonly text: string | undefined;
  /** `phase`, `machine-id`, `volume-key`, …; an unvouched remark. */
  readonly eventType: string | undefined;
}

const MAX_PCR = 23;
const MAX_LINE = 1 << 20;
const MAX_DIGESTS = 16;
const RECORD_SEPARATOR = 0x1e;
const NEWLINE = 0x0a;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Decodes systemd's log: one JSON object a line, an RFC 7464 record separator perhaps before each.
 * systemd: src/shared/tpm2-util.c:tpm2_log_event.
 * @throws {ParseError} at the line's offset: no JSON, a field of the wrong type, a digest of the wrong size,
 *   a last line without its newline (it is still being written: leave it for the next read)
 */
export function parseUserspaceLog(bytes: Uint8Array): UserspaceRecord[] {
  const records: UserspaceRecord[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const what = `record ${records.length}`;
    const start = bytes[offset] === RECORD_SEPARATOR ? offset + 1 : offset;
    const end = bytes.indexOf(NEWLINE, start);
    if (end < 0) throw new ParseError('parse.truncated', what, offset, 'the last line has no end');
    if (end - start > MAX_LINE) throw new ParseError('parse.too-large', what, offset, `a line of ${end - start} bytes`);
    records.push(parseRecord(bytes.subarray(start, end), records.length, offset));
    offset = end + 1;
  }
  return records;
}

function parseRecord(line: Uint8Array, index: number, offset: number): UserspaceRecord {
  const fail = (detail: string): never => {
    throw new ParseError('parse.invalid', `record ${index}`, offset, detail);
  };
  const record = objectOf(parseJson(line) ?? fail('not a JSON object')) ?? fail('not a JSON object');
  const { pcr } = record;
  if (typeof pcr !== 'number' || !Number.isInteger(pcr) || pcr < 0 || pcr > MAX_PCR) return fail('no PCR of 0 to 23');
  const { digests } = record;
  if (!Array.isArray(digests) || digests.length === 0 || digests.length > MAX_DIGESTS) return fail('no digests');
  const parsed = digests.flatMap((item) => digestOf(item) ?? fail('a digest that is none'));
  if (new Set(parsed.map(({ algorithm }) => algorithm)).size !== parsed.length) return fail('two digests of one bank');
  const content = objectOf(record.content) ?? {};
  return {
    index,
    offset,
    pcr,
    digests: parsed.flatMap(({ algorithm, value }) => (isDigestAlgorithm(algorithm) ? [{ algorithm, value }] : [])),
    contentType: stringOf(record.content_type) ?? '',
    text: stringOf(content.string),
    eventType: stringOf(content.eventType),
  };
}

function parseJson(line: Uint8Array): unknown {
  try {
    return JSON.parse(UTF8.decode(line));
  } catch {
    return undefined;
  }
}

function objectOf(value: unknown): Record<string, unknown> | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? Object.fromEntries(Object.entries(value)) : undefined;
}

function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** A bank that Assay cannot compute is carried no further, but its digest must be hex like any other. */
function digestOf(item: unknown): { readonly algorithm: string; readonly value: Uint8Array } | undefined {
  const object = objectOf(item);
  const algorithm = stringOf(object?.hashAlg);
  const hex = stringOf(object?.digest);
  if (algorithm === undefined || hex === undefined || !/^(?:[0-9a-fA-F]{2})+$/.test(hex)) return undefined;
  const value = fromHex(hex);
  if (isDigestAlgorithm(algorithm) && digestInfo(algorithm).size !== value.length) return undefined;
  return { algorithm, value };
}

/** True where the record's digest in `bank` is that of its text, and so the text is as true as the PCR. */
export function recordMatchesText(record: UserspaceRecord, bank: DigestAlgorithm): boolean {
  const stored = record.digests.find(({ algorithm }) => algorithm === bank)?.value;
  return stored !== undefined && record.text !== undefined && digest(bank, Buffer.from(record.text)).equals(stored);
}

/**
 * Extends `start` (values that the firmware log replayed to; zero where it has none) with the log's records, in each
 * bank for which a record has a digest: of such a bank every PCR of `start` is there.
 */
export function replayUserspaceLog(records: readonly UserspaceRecord[], start: ReplayedPcrs = {}): ReplayedPcrs {
  const banks = new Map<DigestAlgorithm, Record<string, string>>();
  for (const record of records) {
    for (const { algorithm, value } of record.digests) {
      const bank = banks.get(algorithm) ?? { ...start[algorithm] };
      banks.set(algorithm, bank);
      const before = bank[record.pcr];
      const running = before === undefined ? Buffer.alloc(value.length) : fromHex(before, `PCR ${record.pcr}`);
      bank[record.pcr] = digest(algorithm, running, value).toString('hex');
    }
  }
  return Object.fromEntries(banks);
}
