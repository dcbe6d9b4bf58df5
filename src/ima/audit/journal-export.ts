/**
 * systemd's journal export format, as `journalctl -o export` and systemd-journal-remote write it: an entry is a line
 * `NAME=value` for each field, or `NAME`, the size in 8 bytes and as many bytes of value; an empty line ends it.
 */
import { ParseError } from '../../bytes/index.ts';
import { JOURNAL_FIELDS, type JournalEntry, type JournalField } from './journal.ts';

/** Of a field that is kept; what is longer is no record. */
const MAX_VALUE = 65_536;
/** Journald's bound for a field's name is 64. */
const MAX_NAME = 64;

const NEWLINE = 0x0a;
const EQUALS = 0x3d;

const isWanted = (name: string): name is JournalField => (JOURNAL_FIELDS as readonly string[]).includes(name);

export class JournalExportReader {
  #pending = Buffer.alloc(0);
  /** Of `#pending` in the whole input. */
  #offset = 0;
  /** Bytes of a value that is not kept; `'line'`: as far as the line goes. */
  #skip: number | 'line' = 0;
  #entry: { [field in JournalField]?: string } = {};

  /** Entries that end in what was pushed. @throws {ParseError} for what is no such format */
  push(chunk: Buffer): JournalEntry[] {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const entries: JournalEntry[] = [];
    while (this.#step(entries));
    return entries;
  }

  /** The last entry, if it has no empty line behind it. @throws {ParseError} where the input ends inside a field */
  end(): JournalEntry[] {
    if (this.#pending.length > 0 || this.#skip !== 0) {
      const end = this.#offset + this.#pending.length;
      throw new ParseError('parse.truncated', 'journal export', end, 'it ends inside a field');
    }
    return Object.keys(this.#entry).length === 0 ? [] : [this.#take()];
  }

  /** @returns false where more bytes are needed */
  #step(entries: JournalEntry[]): boolean {
    if (this.#skip !== 0) return this.#skipOn();
    const end = this.#pending.indexOf(NEWLINE);
    if (end === 0) {
      entries.push(this.#take());
      this.#drop(1);
      return true;
    }
    const head = this.#pending.subarray(0, end < 0 ? this.#pending.length : end);
    const equals = head.indexOf(EQUALS);
    const name = head.toString('latin1', 0, equals < 0 ? Math.min(head.length, MAX_NAME + 1) : equals);
    if (head.length > 0 && !/^[A-Z0-9_]{1,64}$/.test(name)) {
      throw new ParseError('parse.invalid', 'journal export', this.#offset, 'no field of a journal entry');
    }
    if (equals >= 0) return this.#textField(name, head.length, equals, end);
    return end >= 0 && this.#binaryField(name, end);
  }

  #textField(name: string, length: number, equals: number, end: number): boolean {
    if (!isWanted(name) || length > MAX_VALUE) {
      this.#skip = 'line';
      return true;
    }
    if (end < 0) return false;
    this.#entry[name] ??= this.#pending.toString('latin1', equals + 1, end);
    this.#drop(end + 1);
    return true;
  }

  #binaryField(name: string, end: number): boolean {
    const start = end + 9;
    if (this.#pending.length < start) return false;
    const size = this.#pending.readBigUInt64LE(end + 1);
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new ParseError('parse.too-large', 'journal export', this.#offset + end + 1, `a field of ${size} bytes`);
    }
    const length = Number(size);
    if (!isWanted(name) || length > MAX_VALUE) {
      this.#drop(start);
      this.#skip = length + 1;
      return true;
    }
    if (this.#pending.length <= start + length) return false;
    this.#entry[name] ??= this.#pending.toString('latin1', start, start + length);
    this.#drop(start + length + 1);
    return true;
  }

  #skipOn(): boolean {
    if (this.#pending.length === 0) return false;
    if (this.#skip === 'line') {
      const end = this.#pending.indexOf(NEWLINE);
      this.#drop(end < 0 ? this.#pending.length : end + 1);
      if (end >= 0) this.#skip = 0;
      return end >= 0;
    }
    const count = Math.min(this.#skip, this.#pending.length);
    this.#drop(count);
    this.#skip -= count;
    return this.#skip === 0;
  }

  #drop(count: number): void {
    this.#pending = this.#pending.subarray(count);
    this.#offset += count;
  }

  #take(): JournalEntry {
    const entry = this.#entry;
    this.#entry = {};
    return entry;
  }
}
