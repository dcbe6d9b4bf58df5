import { ParseError } from '../bytes/index.ts';
import { parseAsciiEntry } from './ascii.ts';
import { ListChunks } from './chunks.ts';
import type { MeasurementEntry } from './entry.ts';
import { decodeFields } from './fields.ts';
import type { ListForm } from './format.ts';
import { ListReplay } from './replay.ts';
import type { ReplayOptions } from './replay-state.ts';
import { EntryScanner, templateData } from './scan.ts';

const NEWLINE = 0x0a;

/**
 * Reads a measurement list of any length and either form: chunks in, entries out, memory bounded by one entry and one
 * chunk. The form is found by the first bytes. Resuming at an entry boundary: skip `bytes` of the input and give
 * `resume`.
 * @throws from `push` and `end`: {ImaError} where it is no list, {ParseError} with the offset where it is broken
 */
export class ListReader {
  readonly #chunks: ListChunks;
  readonly #base: number;
  #out: MeasurementEntry[] = [];
  #index: number;
  #scanner: EntryScanner | undefined;

  constructor(resume?: { readonly entries: number; readonly bytes: number; readonly form: ListForm }) {
    this.#index = resume?.entries ?? 0;
    this.#base = resume?.bytes ?? 0;
    this.#chunks = new ListChunks((bytes, form, isLast) => this.#take(bytes, form, isLast), resume?.form);
  }

  get form(): ListForm | undefined {
    return this.#chunks.form;
  }

  /** Entries read, those before a resume included. */
  get entries(): number {
    return this.#index;
  }

  /** Bytes of those entries: the offset at which a later read resumes. */
  get bytes(): number {
    return this.#base + this.#chunks.bytes;
  }

  /** The entries that this chunk completes. Their bytes are copies. */
  push(chunk: Uint8Array): MeasurementEntry[] {
    this.#chunks.push(chunk);
    return this.#drain();
  }

  /** The last entries. @throws {ParseError} `parse.truncated` where the list ends inside one */
  end(): MeasurementEntry[] {
    this.#chunks.end();
    return this.#drain();
  }

  #drain(): MeasurementEntry[] {
    const entries = this.#out;
    this.#out = [];
    return entries;
  }

  #take(bytes: Buffer, form: ListForm, isLast: boolean): number {
    if (form.form === 'ascii') {
      return takeLines(bytes, isLast, (line, at) => {
        this.#out.push(parseAsciiEntry(Buffer.from(line), this.#index, this.bytes + at));
        this.#index++;
      });
    }
    this.#scanner ??= new EntryScanner(form.templateDigestSize);
    const scanner = this.#scanner;
    let at = 0;
    while (at < bytes.length && scanner.next(bytes, at, this.bytes)) {
      this.#out.push(entryAt(bytes, scanner, this.#index, this.bytes));
      this.#index++;
      at = scanner.end;
    }
    return at;
  }
}

/** Takes an entry out of a scanned buffer. Its bytes are copies. */
export function entryAt(list: Buffer, span: EntryScanner, index: number, base = 0): MeasurementEntry {
  const { layout, pcr, violation, start, digestStart } = span;
  const data = Buffer.from(templateData(list, span));
  return {
    index,
    offset: base + start,
    pcr,
    templateDigest: Buffer.from(list.subarray(digestStart, digestStart + span.templateDigestSize)),
    template: layout.name,
    violation,
    templateData: data,
    fields: decodeFields(layout, data, base + span.dataStart),
  };
}

function takeLines(bytes: Buffer, isLast: boolean, use: (line: Buffer, at: number) => void): number {
  let at = 0;
  while (at < bytes.length) {
    const newline = bytes.indexOf(NEWLINE, at);
    if (newline < 0 && !isLast) break;
    const end = newline < 0 ? bytes.length : newline;
    use(bytes.subarray(at, end), at);
    at = newline < 0 ? end : end + 1;
  }
  return at;
}

/** All entries of a list that is at hand. */
export function parseMeasurementList(list: Uint8Array): MeasurementEntry[] {
  const reader = new ListReader();
  return [...reader.push(list), ...reader.end()];
}

/** Replays a list of any length and either form as it comes in; `replay` has the result. */
export class StreamedReplay {
  readonly replay: ListReplay;
  readonly #chunks: ListChunks;

  constructor(options: ReplayOptions) {
    this.replay = new ListReplay(options);
    this.#chunks = new ListChunks((bytes, form, isLast) => this.#take(bytes, form, isLast));
  }

  get form(): ListForm | undefined {
    return this.#chunks.form;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
  }

  /** @throws {ParseError} `parse.truncated` where the list ends inside an entry */
  end(): void {
    this.#chunks.end();
  }

  #take(bytes: Buffer, form: ListForm, isLast: boolean): number {
    if (form.form === 'binary') return this.replay.run(bytes).consumed;
    const base = this.#chunks.bytes;
    return takeLines(bytes, isLast, (line, at) => {
      const entry = parseAsciiEntry(line, this.replay.entries, base + at);
      const known = this.replay.templateDigestSize;
      if (known !== 0 && known !== entry.templateDigest.length) {
        const detail = `a template digest of ${entry.templateDigest.length} bytes in a list of ${known}-byte ones`;
        throw new ParseError('parse.invalid', `IMA entry ${entry.index}`, entry.offset, detail);
      }
      this.replay.add(entry);
    });
  }
}
