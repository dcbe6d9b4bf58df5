/** Records in a stream of bytes, whatever log it is of: which is found by itself. */
import { ParseError } from '../../bytes/index.ts';
import { JournalDuplicates, type JournalEntry, parseJournalEntry, parseJournalJson } from './journal.ts';
import { JournalExportReader } from './journal-export.ts';
import { type AuditFind, parseAuditLine } from './line.ts';
import { type Line, LineCutter } from './lines.ts';

export interface LocatedFind {
  readonly find: AuditFind;
  /** Line of the input, or entry of a journal's export; counted from 1. */
  readonly position: number;
}

/**
 * Reads the audit log, the kernel's log, syslog's files, `journalctl`'s text, JSON and export; mixed lines too. Bounded in
 * memory whatever the input.
 */
export class AuditReader {
  readonly #lines = new LineCutter();
  readonly #duplicates = new JournalDuplicates();
  readonly #export = new JournalExportReader();
  #form: 'lines' | 'export' | undefined;
  #entries = 0;

  /** @throws {ParseError} for a journal export that is damaged: where its next entry begins cannot be known */
  push(chunk: Buffer): LocatedFind[] {
    if (chunk.length === 0) return [];
    // An export begins with __CURSOR= or __REALTIME_TIMESTAMP=; no line of a log does.
    this.#form ??= chunk[0] === 0x5f ? 'export' : 'lines';
    if (this.#form === 'export') return this.#fromEntries(this.#export.push(chunk));
    return this.#lines.push(chunk).flatMap((line) => this.#fromLine(line));
  }

  /** What a last line without an end holds. @throws {ParseError} */
  end(): LocatedFind[] {
    if (this.#form === 'export') return this.#fromEntries(this.#export.end());
    return this.#lines.end().flatMap((line) => this.#fromLine(line));
  }

  #fromEntries(entries: readonly JournalEntry[]): LocatedFind[] {
    return entries.flatMap((entry) => {
      this.#entries += 1;
      return located(this.#fromEntry(entry), this.#entries);
    });
  }

  #fromLine(line: Line): LocatedFind[] {
    if (!line.text.startsWith('{')) return located(parseAuditLine(line.text), line.number);
    try {
      return located(this.#fromEntry(parseJournalJson(line.text)), line.number);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return located({ kind: 'unreadable', stamp: undefined, type: undefined, error, text: line.text }, line.number);
    }
  }

  #fromEntry(entry: JournalEntry): AuditFind | undefined {
    const find = parseJournalEntry(entry);
    if (find?.kind === 'record' && this.#duplicates.isSecond(find, entry._TRANSPORT ?? '')) return undefined;
    return find;
  }
}

const located = (find: AuditFind | undefined, position: number): LocatedFind[] =>
  find === undefined ? [] : [{ find, position }];
