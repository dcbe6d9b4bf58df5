/** The event log of Intel TXT as tboot's `txt-stat` prints it (tboot: heap.c and txt-stat.c, print_event, print_event_2_1). */
import { digestAlgorithms, digestInfo, ParseError } from '../../bytes/index.ts';
import { BootError } from '../error.ts';
import { EventType } from '../event-types.ts';
import type { BootEvent, BootLog, EventDigest, SpecId } from '../log.ts';

const MAX_EVENTS = 10_000;
/** The largest log that the TXT heap holds comes to less, once for each of four banks. */
const MAX_TEXT = 8 << 20;
/** Far above what the whole log's buffer in the TXT heap holds; more is refused, so that a forged size costs nothing. */
const MAX_DATA = 64 * 1024;
const MAX_DIGESTS = 16;
const MAX_PCR = 23;
/** TXT's record of the PCR mapping stands in no PCR. */
const TXT_NO_PCR = 255;
const PREFIX = 'TBOOT:';
const FIELD = /^(TCG Event:|Event:|[A-Za-z_][A-Za-z_0-9]*:)(.*)$/;
const HEX_LINE = /^(?:[0-9a-f]{2}\s*)+$/i;
const STARTS: ReadonlySet<string> = new Set(['Event:', 'TCG Event:']);
/** Of two algorithms with digests of one size the one that TXT writes: the older form prints no name beside them. */
const TXT_ALGORITHMS = ['sha1', 'sha256', 'sha384', 'sha512'];
/** The names that the form for crypto-agile logs prints. */
const NAMED_ALGORITHMS = {
  'SHA1:': 'sha1',
  'SHA256:': 'sha256',
  'SHA384:': 'sha384',
  'SHA512:': 'sha512',
  'SM3_256:': 'sm3',
};

interface Line {
  /** Without the prefix and the blanks around it. */
  readonly text: string;
  /** tboot's own boot log has its prefix before each line. */
  readonly isOfTboot: boolean;
  readonly offset: number;
}

/** True for text that has an event of `txt-stat`; a binary log has NULs in its first PCR index. */
export function looksLikeTxtStat(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return !bytes.subarray(0, 4).includes(0) && (text.includes('PCRIndex:') || text.includes('TCG Event:'));
}

/**
 * Reads the events out of `txt-stat`'s output, whatever stands around them, in both forms: that of a crypto-agile log, and
 * the older one, in which a TPM 2.0's log is printed once for each bank. Those are put together where they agree.
 * Where tboot's own boot log is printed too (`TBOOT:` before each line), its copies of the events are left out.
 * @throws {BootError} `boot.not-a-log` where the text has no event
 * @throws {ParseError} at the line's offset: a field that is missing, out of place or malformed
 */
export function parseTxtStat(text: string): BootLog {
  if (text.length > MAX_TEXT) throw new ParseError('parse.too-large', 'txt-stat', MAX_TEXT, 'more text than a log has');
  const all = linesOf(text);
  const isStart = (line: Line): boolean => STARTS.has(fieldOf(line)?.name ?? '');
  const hasHeap = all.some((line) => isStart(line) && !line.isOfTboot);
  const lines = hasHeap ? all.filter((line) => !line.isOfTboot) : all;
  const events: BootEvent[] = [];
  for (let at = 0; at < lines.length; ) {
    const name = fieldOf(lines[at])?.name;
    if (name === undefined || !STARTS.has(name)) {
      at++;
      continue;
    }
    if (events.length === MAX_EVENTS)
      fail('parse.too-large', events.length, lines[at], `more than ${MAX_EVENTS} events`);
    const read = name === 'Event:' ? readEvent : readAgileEvent;
    const { event, next } = read(lines, at, events.length);
    events.push(event);
    at = next;
  }
  if (events.length === 0) {
    throw new BootError(
      'boot.not-a-log',
      'this text has no event as txt-stat prints them',
      'give the output of txt-stat',
    );
  }
  const merged = mergeBanks(events);
  return { format: 'agile', specId: specIdOf(merged), events: merged, padding: 0 };
}

function linesOf(text: string): Line[] {
  let offset = 0;
  return text.split('\n').map((line) => {
    const at = offset;
    offset += Buffer.byteLength(line) + 1;
    const bare = line.trim();
    const isOfTboot = bare.startsWith(PREFIX);
    return { text: isOfTboot ? bare.slice(PREFIX.length).trimStart() : bare, isOfTboot, offset: at };
  });
}

function fieldOf(line: Line | undefined): { readonly name: string; readonly value: string } | undefined {
  const [, name, value] = FIELD.exec(line?.text ?? '') ?? [];
  return name === undefined || value === undefined ? undefined : { name, value: value.trim() };
}

interface ReadEvent {
  readonly event: BootEvent;
  readonly next: number;
}

function readEvent(lines: readonly Line[], start: number, index: number): ReadEvent {
  const pcr = readPcr(lines, start + 1, 'PCRIndex:', index);
  const type = Number(fieldValue(lines, start + 2, 'Type:', /^0x[0-9a-f]{1,8}$/i, index));
  const value = bytesOf(fieldValue(lines, start + 3, 'Digest:', /^(?:[0-9a-f]{2}\s*)+$/i, index));
  const digest = digestOf(value) ?? fail('parse.invalid', index, lines[start + 3], `a digest of ${value.length} bytes`);
  const { data, next } = readData(lines, start + 4, 'Data:', index);
  return { event: { index, offset: lines[start]?.offset ?? 0, pcr, type, digests: [digest], data }, next };
}

/** The trap: tboot prints the low byte of a size alone, and after an event of 256 bytes or more what is not one. */
function readAgileEvent(lines: readonly Line[], start: number, index: number): ReadEvent {
  const pcr = readPcr(lines, start + 1, 'pcr_index:', index);
  const type = Number(fieldValue(lines, start + 2, 'event_type:', /^0x[0-9a-f]{1,8}$/i, index));
  const count = Number(fieldValue(lines, start + 3, 'count:', /^[0-9]{1,9}$/, index));
  if (count > MAX_DIGESTS) fail('parse.too-large', index, lines[start + 3], `${count} digests`);
  const digests: EventDigest[] = [];
  let at = start + 4;
  for (; digests.length < count; at += 2) digests.push(readNamedDigest(lines, at, index, digests));
  const { data, next } = readData(lines, at, 'event_data:', index);
  return { event: { index, offset: lines[start]?.offset ?? 0, pcr, type, digests, data }, next };
}

function readNamedDigest(
  lines: readonly Line[],
  at: number,
  index: number,
  before: readonly EventDigest[],
): EventDigest {
  const name = fieldOf(lines[at])?.name;
  const algorithm = Object.entries(NAMED_ALGORITHMS).find(([printed]) => printed === name)?.[1];
  const hex = HEX_LINE.exec(lines[at + 1]?.text ?? '')?.[0];
  if (algorithm === undefined || hex === undefined)
    return fail('parse.invalid', index, lines[at] ?? lines.at(-1), 'no digest of its form');
  const { tpmAlg, size, name: known } = digestInfo(algorithm);
  const value = bytesOf(hex);
  if (tpmAlg === undefined || value.length !== size || before.some((digest) => digest.tpmAlg === tpmAlg))
    return fail('parse.invalid', index, lines[at], `a ${algorithm} digest of ${value.length} bytes`);
  return { tpmAlg, algorithm: known, value };
}

function fieldValue(lines: readonly Line[], at: number, name: string, form: RegExp, index: number): string {
  const found = fieldOf(lines[at]);
  if (found?.name === name && form.test(found.value)) return found.value;
  return fail('parse.invalid', index, lines[at] ?? lines.at(-1), `no ${name.slice(0, -1)} of its form`);
}

function readPcr(lines: readonly Line[], at: number, name: string, index: number): number {
  const pcr = Number(fieldValue(lines, at, name, /^[0-9]{1,3}$/, index));
  if (pcr > MAX_PCR && pcr !== TXT_NO_PCR) fail('parse.invalid', index, lines[at], `there is no PCR ${pcr}`);
  return pcr;
}

function readData(lines: readonly Line[], at: number, name: string, index: number): { data: Buffer; next: number } {
  const size = Number.parseInt(fieldValue(lines, at, name, /^[0-9]{1,9} bytes/, index), 10);
  if (size > MAX_DATA) fail('parse.too-large', index, lines[at], `${size} bytes of data`);
  const parts: Buffer[] = [];
  let next = at + 1;
  let got = 0;
  while (got < size) {
    const hex = HEX_LINE.exec(lines[next]?.text ?? '')?.[0];
    if (hex === undefined)
      return fail('parse.truncated', index, lines[next] ?? lines.at(-1), `${got} of ${size} bytes`);
    const part = bytesOf(hex);
    parts.push(part);
    got += part.length;
    next++;
  }
  if (got > size) fail('parse.invalid', index, lines[next - 1], `more than the ${size} bytes of data that it says`);
  return { data: Buffer.concat(parts), next };
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text.replace(/\s/g, ''), 'hex');
}

function digestOf(value: Uint8Array): EventDigest | undefined {
  const info = digestAlgorithms().find(({ name, size }) => TXT_ALGORITHMS.includes(name) && size === value.length);
  return info?.tpmAlg === undefined ? undefined : { tpmAlg: info.tpmAlg, algorithm: info.name, value };
}

/**
 * One event for what each bank's log has at the same place. Left as they are where the logs do not run alike; replay takes
 * those of a bank together either way. The record that begins the log of each bank but SHA-1's describes that log alone.
 */
function mergeBanks(events: readonly BootEvent[]): readonly BootEvent[] {
  const banks = new Map<number, BootEvent[]>();
  for (const event of events) {
    const [digest, ...more] = event.digests;
    if (digest === undefined || more.length > 0) return events;
    if (event.type === EventType.EV_NO_ACTION) continue;
    const ofBank = banks.get(digest.tpmAlg) ?? [];
    banks.set(digest.tpmAlg, ofBank);
    ofBank.push(event);
  }
  const [first, ...others] = banks.values();
  const isLike = (a: BootEvent, b: BootEvent | undefined): boolean =>
    a.pcr === b?.pcr && a.type === b.type && Buffer.from(a.data).equals(b.data);
  const runAlike = (other: readonly BootEvent[]): boolean =>
    other.length === first?.length && first.every((event, i) => isLike(event, other[i]));
  if (first === undefined || others.length === 0 || !others.every(runAlike)) return events;
  return first.map((event, i) => {
    const digests = [event, ...others.flatMap((other) => other[i] ?? [])].flatMap((each) => each.digests);
    return { ...event, index: i, digests };
  });
}

/** The banks that the text has events of; the rest of a Spec ID event is not always printed. */
function specIdOf(events: readonly BootEvent[]): SpecId {
  const sizes = new Map(events.flatMap(({ digests }) => digests.map(({ tpmAlg, value }) => [tpmAlg, value.length])));
  return {
    platformClass: 0,
    versionMajor: 2,
    versionMinor: 0,
    errata: 0,
    uintnSize: 2,
    algorithms: [...sizes].map(([tpmAlg, size]) => ({ tpmAlg, size })),
    vendorInfo: new Uint8Array(),
  };
}

function fail(code: ParseError['code'], index: number, line: Line | undefined, detail: string): never {
  throw new ParseError(code, `txt-stat event ${index}`, line?.offset ?? 0, detail);
}
