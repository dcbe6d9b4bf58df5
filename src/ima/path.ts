import { isUtf8 } from 'node:buffer';

/** Byte b that is part of no UTF-8 sequence stands as this plus b: lone surrogates, which UTF-8 itself never gives. */
const ESCAPE_BASE = 0xdc00;
const SEQUENCE = /[\u{10000}-\u{10ffff}]|[\ud800-\udfff]|[^\ud800-\udfff]+/gu;

/**
 * A path of the list as text. Linux paths are bytes: where they are not UTF-8, each stray byte becomes a lone surrogate
 * U+DC80–U+DCFF (as Python's surrogateescape does), so that different bytes never give the same text.
 */
export function decodePath(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isUtf8(buffer)) return buffer.toString('utf8');
  // One buffer, not one string a byte: the host chooses the bytes, and a rope of millions exhausts the heap.
  const units = Buffer.allocUnsafe(2 * buffer.length);
  let end = 0;
  let at = 0;
  while (at < buffer.length) {
    const length = sequenceLength(buffer, at);
    const point = length > 0 ? codePoint(buffer, at, length) : ESCAPE_BASE + (buffer[at] ?? 0);
    if (point > 0xffff) {
      end = units.writeUInt16LE(0xd7c0 + (point >> 10), end);
      end = units.writeUInt16LE(0xdc00 + (point & 0x3ff), end);
    } else {
      end = units.writeUInt16LE(point, end);
    }
    at += Math.max(1, length);
  }
  return units.toString('utf16le', 0, end);
}

/** Length of the valid UTF-8 sequence at `at`; 0 where there is none. Unicode 16.0, table 3-7. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (at + length > bytes.length) return 0;
  const second = bytes[at + 1] ?? 0;
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  for (let i = at + 2; i < at + length; i++) if (((bytes[i] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}

function codePoint(bytes: Uint8Array, at: number, length: number): number {
  const lead = bytes[at] ?? 0;
  if (length === 1) return lead;
  let point = lead & (0xff >> (length + 1));
  for (let i = at + 1; i < at + length; i++) point = (point << 6) | ((bytes[i] ?? 0) & 0x3f);
  return point;
}

/** The bytes of a path that {@link decodePath} gave, or of any text. */
export function encodePath(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text, 'utf8');
  const parts = (text.match(SEQUENCE) ?? []).map((part) => {
    const unit = part.charCodeAt(0);
    const isEscape = part.length === 1 && unit >= ESCAPE_BASE + 0x80 && unit <= ESCAPE_BASE + 0xff;
    return isEscape ? Buffer.of(unit - ESCAPE_BASE) : Buffer.from(part, 'utf8');
  });
  return Buffer.concat(parts);
}
