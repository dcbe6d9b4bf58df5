/**
 * As much DER (X.690) as keys, certificates and PKCS#7 need: definite lengths, tags below 31. Bounded by the input: an
 * element never reaches beyond the one around it.
 */
import { ByteReader, ParseError } from '../bytes/index.ts';

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  sequence: 0x30,
  set: 0x31,
  /** Context-specific, primitive. */
  context: (number: number) => 0x80 | number,
  /** Context-specific, constructed. */
  contextOf: (number: number) => 0xa0 | number,
} as const;

export class DerReader {
  readonly #bytes: Uint8Array;
  /** Offset of `#bytes` within the whole input. */
  readonly #base: number;
  #at = 0;

  constructor(bytes: Uint8Array, base = 0) {
    this.#bytes = bytes;
    this.#base = base;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Offset of the next element in the whole input. */
  get offset(): number {
    return this.#base + this.#at;
  }

  /** Tag of the next element; undefined at the end. */
  get tag(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** The next element, header and all. */
  whole(tag: number | undefined, what: string): Uint8Array {
    const start = this.#at;
    this.#next(tag, what);
    return this.#bytes.subarray(start, this.#at);
  }

  /** The content of the next element. */
  content(tag: number, what: string): Uint8Array {
    return this.#next(tag, what).content;
  }

  /** A reader over the content of the next element. */
  enter(tag: number, what: string): DerReader {
    const { content, offset } = this.#next(tag, what);
    return new DerReader(content, offset);
  }

  /** The content of a BIT STRING of whole bytes. */
  bits(what: string): Uint8Array {
    const { content, offset } = this.#next(TAG.bitString, what);
    if (content[0] !== 0)
      throw new ParseError('parse.invalid', what, offset, 'a BIT STRING that is not of whole bytes');
    return content.subarray(1);
  }

  /** Skips the next element if it has that tag. */
  skip(tag: number, what: string): void {
    if (this.tag === tag) this.#next(tag, what);
  }

  /** @throws {ParseError} unless everything was read */
  end(what: string): void {
    const rest = this.#bytes.length - this.#at;
    if (rest > 0) throw new ParseError('parse.trailing', what, this.#base + this.#at, `${rest} bytes left over`);
  }

  #next(tag: number | undefined, what: string): { content: Uint8Array; offset: number } {
    const reader = new ByteReader(this.#bytes.subarray(this.#at), this.#base + this.#at);
    const found = reader.u8(what);
    if (tag !== undefined && found !== tag) {
      reader.fail('parse.unknown-value', what, `tag ${hex(found)}, ${hex(tag)} is due`, this.#base + this.#at);
    }
    const length = derLength(reader, what);
    const offset = reader.offset;
    const content = reader.bytes(length, what);
    this.#at = offset - this.#base + length;
    return { content, offset };
  }
}

const hex = (tag: number): string => `0x${tag.toString(16).padStart(2, '0')}`;

function derLength(reader: ByteReader, what: string): number {
  const first = reader.u8(`${what}, length`);
  if (first < 0x80) return first;
  const count = first & 0x7f;
  if (count === 0) reader.fail('parse.invalid', `${what}, length`, 'an indefinite length: this is BER, not DER');
  if (count > 4) reader.fail('parse.too-large', `${what}, length`, `a length of ${count} bytes`);
  return reader.bytes(count, `${what}, length`).reduce((value, byte) => value * 256 + byte, 0);
}

/** An element: its header, then `parts` one after another. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.of(tag), lengthBytes(length), ...parts]);
}

function lengthBytes(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  const start = bytes.findIndex((byte) => byte !== 0);
  return Buffer.concat([Buffer.of(0x80 | (4 - start)), bytes.subarray(start)]);
}

/** An OBJECT IDENTIFIER from its dotted form, header and all. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...arcs] = dotted.split('.').map(Number);
  return der(TAG.oid, Buffer.from([first * 40 + second, ...arcs].flatMap(base128)));
}

function base128(arc: number): number[] {
  const bytes = [arc & 0x7f];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift(0x80 | (rest & 0x7f));
  return bytes;
}
