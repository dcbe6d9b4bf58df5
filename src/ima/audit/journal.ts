/**
 * Records in systemd's journal: those that journald heard over netlink (`journald-audit.c`), and those that the kernel
 * printed, which it does where no auditd runs. With both, each comes twice.
 */
import { ParseError } from '../../bytes/index.ts';
import { type AuditFind, type AuditRecord, parseAuditLine, parseBody } from './line.ts';
import { type AuditStamp, integrityType } from './record.ts';
import { formatStamp } from './write.ts';

/** Fields of one entry that say something here; journald gives those with an underscore, no client can. */
export const JOURNAL_FIELDS = [
  '_TRANSPORT',
  'MESSAGE',
  '_AUDIT_TYPE',
  '_AUDIT_ID',
  '_SOURCE_REALTIME_TIMESTAMP',
] as const;

export type JournalField = (typeof JOURNAL_FIELDS)[number];

/** Texts with one character a byte. */
export type JournalEntry = { readonly [field in JournalField]?: string };

/** @returns undefined for an entry about something else, or from whoever is not the kernel */
export function parseJournalEntry(entry: JournalEntry): AuditFind | undefined {
  const message = entry.MESSAGE ?? '';
  if (entry._TRANSPORT === 'kernel') return parseAuditLine(message);
  const type = integrityType(entry._AUDIT_TYPE ?? '');
  if (entry._TRANSPORT !== 'audit' || type === undefined) return undefined;
  // The type's name stands before the record.
  return parseBody(type, stampOf(entry), message.trimEnd(), message.indexOf(' ') + 1);
}

function stampOf({
  _AUDIT_ID: serial = '',
  _SOURCE_REALTIME_TIMESTAMP: time = '',
}: JournalEntry): AuditStamp | undefined {
  if (!/^\d{1,10}$/.test(serial) || !/^\d{4,16}$/.test(time)) return undefined;
  const millis = Math.floor(Number(time) / 1000);
  return { seconds: Math.floor(millis / 1000), millis: millis % 1000, serial: Number(serial) };
}

/**
 * An object of `journalctl -o json`: values are texts, arrays of bytes, or arrays of these where a field comes repeatedly.
 * @throws {ParseError} for a line that is no such object
 */
export function parseJournalJson(line: string): JournalEntry {
  const value = parseObject(line);
  const entry: { [field in JournalField]?: string } = {};
  for (const field of JOURNAL_FIELDS) {
    const text = textOf(value[field]);
    if (text !== undefined) entry[field] = text;
  }
  return entry;
}

function parseObject(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(line, 'latin1').toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>; // it is one
  } catch {
    // Told below.
  }
  throw new ParseError('parse.invalid', 'journal entry', 0, 'no JSON object as journalctl -o json writes it');
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return Buffer.from(value, 'utf8').toString('latin1');
  if (!Array.isArray(value)) return undefined;
  const isBytes = value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 0xff);
  return isBytes ? Buffer.from(value).toString('latin1') : textOf(value[0]);
}

/** Records between whose two ways into the journal others may come. */
const REMEMBERED = 4096;

/** Lets a record through once that came by two ways. */
export class JournalDuplicates {
  readonly #ways = new Map<string, string>();

  isSecond(find: AuditRecord, transport: string): boolean {
    if (find.stamp === undefined) return false;
    const key = `${formatStamp(find.stamp)} ${find.text.slice(find.text.indexOf(' ') + 1)}`;
    const first = this.#ways.get(key);
    if (first !== undefined) return first !== transport;
    this.#ways.set(key, transport);
    if (this.#ways.size > REMEMBERED) this.#forgetOldest();
    return false;
  }

  #forgetOldest(): void {
    for (const key of this.#ways.keys()) {
      this.#ways.delete(key);
      return;
    }
  }
}
