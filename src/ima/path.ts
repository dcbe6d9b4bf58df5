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
  let text = '';
  let at = 0;
  while (at < buffer.length) {
    const length = sequenceLength(buffer, at);
    text +=
      length > 0 ? buffer.toString('utf8', at, at + length) : String.fromCharCode(ESCAPE_BASE + (buffer[at] ?? 0));
    at += Math.max(1, length);
  }
  return text;
}

/** Length of the valid UTF-8 sequence at `at`; 0 where there is none. */
function sequenceLength(buffer: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= buffer.length; length++) {
    if (isUtf8(buffer.subarray(at, at + length))) return length;
  }
  return 0;
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
