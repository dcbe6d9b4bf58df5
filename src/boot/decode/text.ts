import { type ByteReader, ParseError, withoutFinalNuls } from '../../bytes/index.ts';
import { decodeText } from '../payload.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/** The bytes as text where they are some (UTF-8, or UTF-16 with Latin letters); undefined for binary. */
export function printableText(data: Uint8Array): string | undefined {
  const text = decodeText(data);
  return text === undefined || text === '' || CONTROL.test(text) ? undefined : text;
}

/** As {@link printableText}, for a payload that must be text. */
export function textOf(data: Uint8Array, what: string, offset: number): string {
  const text = decodeText(data);
  if (text === undefined) throw new ParseError('parse.invalid', what, offset, 'this is no text');
  return text;
}

/** `length` units of UTF-16, little endian; NULs at the end are dropped. */
export function readUtf16(reader: ByteReader, length: number, what: string): string {
  return withoutFinalNuls(Buffer.from(reader.bytes(length * 2, what)).toString('utf16le'));
}

/** UTF-16 up to its NUL, which is read too. */
export function readUtf16z(reader: ByteReader, what: string): string {
  const units: number[] = [];
  for (let unit = reader.u16le(what); unit !== 0; unit = reader.u16le(what)) units.push(unit);
  let text = '';
  for (let at = 0; at < units.length; at += 4096) text += String.fromCharCode(...units.slice(at, at + 4096));
  return text;
}

/** A string of `length` bytes, one a character; NULs at the end are dropped. */
export function readLatin1(reader: ByteReader, length: number, what: string): string {
  return withoutFinalNuls(Buffer.from(reader.bytes(length, what)).toString('latin1'));
}

/** A string behind a length byte, as TCG's structures have it. */
export function readCountedText(reader: ByteReader, what: string): string {
  return readLatin1(reader, reader.u8(`${what}, size`), what);
}

/** A length field of 64 bits, which must fit into what is left. */
export function readLength64(reader: ByteReader, what: string): number {
  const at = reader.offset;
  const length = reader.u64le(what);
  if (length > BigInt(reader.remaining)) {
    reader.fail('parse.truncated', what, `${length} bytes, ${reader.remaining} are left`, at);
  }
  return Number(length);
}
