import { ParseError } from './error.ts';

/**
 * A bounded cursor over bytes. Every read checks the bound first and raises a {@link ParseError} with the offset;
 * nothing is copied: `bytes(n)` gives a view of the input.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #base: number;
  #at = 0;

  /** @param base offset of `bytes` within the whole input, added to every reported offset */
  constructor(bytes: Uint8Array, base = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#base = base;
  }

  /** Offset of the next byte from the start of the whole input. */
  get offset(): number {
    return this.#base + this.#at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(what: string): number {
    return this.#view.getUint8(this.#advance(1, what));
  }

  u16be(what: string): number {
    return this.#view.getUint16(this.#advance(2, what));
  }

  u32be(what: string): number {
    return this.#view.getUint32(this.#advance(4, what));
  }

  u64be(what: string): bigint {
    return this.#view.getBigUint64(this.#advance(8, what));
  }

  u16le(what: string): number {
    return this.#view.getUint16(this.#advance(2, what), true);
  }

  u32le(what: string): number {
    return this.#view.getUint32(this.#advance(4, what), true);
  }

  u64le(what: string): bigint {
    return this.#view.getBigUint64(this.#advance(8, what), true);
  }

  /** A view of the next `length` bytes. */
  bytes(length: number, what: string): Uint8Array {
    const start = this.#advance(length, what);
    return this.#bytes.subarray(start, start + length);
  }

  /** A reader over the next `length` bytes, which reports offsets in the whole input. */
  section(length: number, what: string): ByteReader {
    const base = this.offset;
    return new ByteReader(this.bytes(length, what), base);
  }

  /** A view of everything that is left. */
  rest(): Uint8Array {
    return this.bytes(this.remaining, 'rest');
  }

  /** Raises `parse.trailing` unless everything has been read. */
  end(what: string): void {
    if (this.remaining > 0) {
      throw new ParseError('parse.trailing', what, this.offset, `${this.remaining} bytes left over`);
    }
  }

  /** Raises a {@link ParseError} at the current offset (or at `offset`). */
  fail(code: ParseError['code'], what: string, detail: string, offset = this.offset): never {
    throw new ParseError(code, what, offset, detail);
  }

  #advance(length: number, what: string): number {
    const start = this.#at;
    if (length < 0 || length > this.#bytes.length - start) {
      this.fail('parse.truncated', what, `needs ${length} bytes, ${this.remaining} are left`);
    }
    this.#at = start + length;
    return start;
  }
}
