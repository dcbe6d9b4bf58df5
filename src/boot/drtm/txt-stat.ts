/** The event log of Intel TXT as tboot's `txt-stat` prints it (tboot: heap.c and txt-stat.c, print_event). */
import { digestAlgorithms, ParseError } from '../../bytes/index.ts';
import { BootError } from '../error.ts';
import type { BootEvent, BootLog, EventDigest, SpecId } from '../log.ts';

const MAX_EVENTS = 10_000;
/** Far above what the whole log's buffer in the TXT heap holds; more is refused, so that a forged size costs nothing. */
const MAX_DATA = 64 * 1024;
const MAX_PCR = 23;
/** TXT's record of the PCR mapping stands in no PCR. */
const TXT_NO_PCR = 255;
const FIELD = /^\s*(?:TBOOT:)?\s*(Event:|PCRIndex:|Type:|Digest:|Data:)\s*(.*)$/;
const HEX_LINE = /^\s*(?:TBOOT:)?\s*((?:[0-9a-f]{2}\s*)+)$/i;
/** Of two algorithms with digests of one size the one that TXT writes: tboot prints no name beside them. */
const TXT_ALGORITHMS = ['sha1', 'sha256', 'sha384', 'sha512'];

interface Line {
  readonly text: string;
  readonly offset: number;
}

/** True for text that has an event of `txt-stat`; a binary log has NULs in its first PCR index. */
export function looksLikeTxtStat(bytes: Uint8Array): boolean {
  return (
    !bytes.subarray(0, 4).includes(0) && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes('PCRIndex:')
  );
}

/**
 * Reads the events out of `txt-stat`'s output, whatever stands around them. On a TPM 2.0 it prints the log once for each
 * bank: each event here has one digest, and replay takes those of a bank together.
 * @throws {BootError} `boot.not-a-log` where the text has no event
 * @throws {ParseError} at the line's offset: a field that is missing, out of place or malformed
 */
export function parseTxtStat(text: string): BootLog {
  const lines = linesOf(text);
  const events: BootEvent[] = [];
  for (let at = 0; at < lines.length; ) {
    if (fieldOf(lines[at])?.name !== 'Event:') {
      at++;
      continue;
    }
    if (events.length === MAX_EVENTS)
      fail('parse.too-large', events.length, lines[at], `more than ${MAX_EVENTS} events`);
    const { event, next } = readEvent(lines, at, events.length);
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
  return { format: 'agile', specId: specIdOf(events), events, padding: 0 };
}

function linesOf(text: string): Line[] {
  let offset = 0;
  return text.split('\n').map((line) => {
    const at = offset;
    offset += Buffer.byteLength(line) + 1;
    return { text: line, offset: at };
  });
}

function fieldOf(line: Line | undefined): { readonly name: string; readonly value: string } | undefined {
  const [, name, value] = FIELD.exec(line?.text ?? '') ?? [];
  return name === undefined || value === undefined ? undefined : { name, value: value.trim() };
}

function readEvent(lines: readonly Line[], start: number, index: number): { event: BootEvent; next: number } {
  const field = (nth: number, name: string, form: RegExp): string => {
    const found = fieldOf(lines[start + nth]);
    if (found?.name === name && form.test(found.value)) return found.value;
    return fail('parse.invalid', index, lines[start + nth] ?? lines.at(-1), `no ${name.slice(0, -1)} of its form`);
  };
  const pcr = Number(field(1, 'PCRIndex:', /^[0-9]{1,3}$/));
  if (pcr > MAX_PCR && pcr !== TXT_NO_PCR) fail('parse.invalid', index, lines[start + 1], `there is no PCR ${pcr}`);
  const type = Number(field(2, 'Type:', /^0x[0-9a-f]{1,8}$/i));
  const value = bytesOf(field(3, 'Digest:', /^(?:[0-9a-f]{2}\s*)+$/i));
  const size = Number.parseInt(field(4, 'Data:', /^[0-9]{1,9} bytes/), 10);
  if (size > MAX_DATA) fail('parse.too-large', index, lines[start + 4], `${size} bytes of data`);
  const digest = digestOf(value) ?? fail('parse.invalid', index, lines[start + 3], `a digest of ${value.length} bytes`);
  const { data, next } = readData(lines, start + 5, size, index);
  return { event: { index, offset: lines[start]?.offset ?? 0, pcr, type, digests: [digest], data }, next };
}

function readData(lines: readonly Line[], start: number, size: number, index: number): { data: Buffer; next: number } {
  const parts: Buffer[] = [];
  let next = start;
  let got = 0;
  while (got < size) {
    const hex = HEX_LINE.exec(lines[next]?.text ?? '')?.[1];
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

/** The banks that the text has events of; the rest of a Spec ID event is not printed. */
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
