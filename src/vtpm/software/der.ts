/** As much of DER (ITU-T X.690) as a certificate needs that a TPM completes. */
import { ByteReader } from '../../bytes/index.ts';

export const TAG = {
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  sequence: 0x30,
  /** [0], [1] and so on, constructed. */
  explicit: 0xa0,
} as const;

/** Tag and length in front of `size` bytes. */
export function header(tag: number, size: number): Buffer {
  if (size < 0x80) return Buffer.of(tag, size);
  return size < 0x100 ? Buffer.of(tag, 0x81, size) : Buffer.of(tag, 0x82, size >> 8, size & 0xff);
}

export function element(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const size = content.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([header(tag, size), ...content]);
}

export const NULL: Uint8Array = Uint8Array.of(0x05, 0);

/** A number that is not negative. */
export function integer(bytes: Uint8Array): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const significant = start < 0 ? Uint8Array.of(0) : bytes.subarray(start);
  return element(
    0x02,
    significant[0] !== undefined && significant[0] >= 0x80 ? Uint8Array.of(0) : Buffer.alloc(0),
    significant,
  );
}

export function bitString(content: Uint8Array): Buffer {
  return element(TAG.bitString, Uint8Array.of(0), content);
}

/** @param text as `1.2.840.10045.2.1` */
export function objectIdentifier(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  return element(TAG.objectIdentifier, Buffer.from([first * 40 + second, ...rest].flatMap(base128)));
}

function base128(value: number): number[] {
  const octets = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) octets.unshift((rest & 0x7f) | 0x80);
  return octets;
}

// --- reading ----------------------------------------------------------------------------------------------------------

export interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Tag and length too. */
  readonly whole: Uint8Array;
}

/** The elements that fill `bytes`; undefined where they do not. */
export function elementsOf(bytes: Uint8Array): Element[] | undefined {
  const reader = new ByteReader(bytes);
  const elements: Element[] = [];
  try {
    while (reader.remaining > 0) elements.push(readElement(reader, bytes));
  } catch {
    return undefined;
  }
  return elements;
}

function readElement(reader: ByteReader, bytes: Uint8Array): Element {
  const start = reader.offset;
  const tag = reader.u8('tag');
  const short = reader.u8('length');
  const size = short < 0x80 ? short : longLength(reader, short);
  const content = reader.bytes(size, 'content');
  return { tag, content, whole: bytes.subarray(start, reader.offset) };
}

/** Two octets at most: nothing in a command is longer. */
function longLength(reader: ByteReader, first: number): number {
  if (first === 0x81) return reader.u8('length');
  if (first === 0x82) return reader.u16be('length');
  return Number.POSITIVE_INFINITY;
}
