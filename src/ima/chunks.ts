import { ParseError } from '../bytes/index.ts';
import { detectListForm, FORMAT_PROBE_SIZE, type ListForm } from './format.ts';
import { MAX_TEMPLATE_DATA } from './scan.ts';

/** An ASCII line shows two characters a byte. */
const MAX_PENDING = 2 * MAX_TEMPLATE_DATA + 65_536;

/** Takes whole entries from the front of `bytes` and says how many bytes they were. */
export type TakeEntries = (bytes: Buffer, form: ListForm, isLast: boolean) => number;

/**
 * Joins the chunks of a list: each time, what is there is offered, and what was not taken waits for the next chunk.
 * Holds at most one entry and one chunk. Finds the list's form by its first bytes.
 */
export class ListChunks {
  readonly #take: TakeEntries;
  #buffer: Buffer = Buffer.alloc(0);
  #filled = 0;
  #taken = 0;
  #form: ListForm | undefined;

  constructor(take: TakeEntries, form?: ListForm) {
    this.#take = take;
    this.#form = form;
  }

  /** Undefined until enough of the list was seen. */
  get form(): ListForm | undefined {
    return this.#form;
  }

  /** Bytes taken so far: an entry boundary, at which a later read may resume. */
  get bytes(): number {
    return this.#taken;
  }

  push(chunk: Uint8Array): void {
    this.#append(chunk);
    this.#offer(false);
  }

  /** @throws {ParseError} `parse.truncated` where the list ends inside an entry */
  end(): void {
    this.#offer(true);
    if (this.#filled === 0) return;
    throw new ParseError('parse.truncated', 'IMA entry', this.#taken, 'the list ends inside it');
  }

  #append(chunk: Uint8Array): void {
    const needed = this.#filled + chunk.length;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, Math.min(this.#buffer.length * 2, MAX_PENDING)));
      grown.set(this.#buffer.subarray(0, this.#filled));
      this.#buffer = grown;
    }
    this.#buffer.set(chunk, this.#filled);
    this.#filled = needed;
  }

  #offer(isLast: boolean): void {
    if (this.#filled === 0) return;
    const bytes = this.#buffer.subarray(0, this.#filled);
    if (this.#form === undefined) {
      if (!isLast && bytes.length < FORMAT_PROBE_SIZE) return;
      this.#form = detectListForm(bytes);
    }
    const taken = this.#take(bytes, this.#form, isLast);
    this.#buffer.copyWithin(0, taken, this.#filled);
    this.#filled -= taken;
    this.#taken += taken;
    if (this.#filled <= MAX_PENDING) return;
    throw new ParseError('parse.too-large', 'IMA entry', this.#taken, `${this.#filled} bytes and no end`);
  }
}
