import { ParseError } from './error.ts';

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Strict: an even number of hex digits and nothing else. @throws {ParseError} at the first offending character */
export function fromHex(text: string, what = 'hex text'): Buffer {
  const bad = text.search(/[^0-9a-fA-F]/);
  if (bad >= 0) throw new ParseError('parse.invalid', what, bad, 'not a hex digit');
  if (text.length % 2 === 1) throw new ParseError('parse.truncated', what, text.length, 'an odd number of hex digits');
  return Buffer.from(text, 'hex');
}
