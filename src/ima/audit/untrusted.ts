/** How the kernel writes a text that it did not choose itself (`audit.c:audit_log_untrustedstring`). */
import { fromHex, ParseError } from '../../bytes/index.ts';

/** Quoted where every byte is a visible ASCII character other than the quote; in upper-case hex otherwise. */
export function formatUntrusted(bytes: Uint8Array): string {
  const isHarmless = bytes.every((byte) => byte >= 0x21 && byte <= 0x7e && byte !== 0x22);
  const text = Buffer.from(bytes);
  return isHarmless ? `"${text.toString('latin1')}"` : text.toString('hex').toUpperCase();
}

/**
 * @param value a quoted text or hex
 * @param at where it stands, for the error
 * @throws {ParseError} for a text that the kernel would not have written so
 */
export function parseUntrusted(value: string, at: number): Buffer {
  const quoted = /^"([\x21\x23-\x7e]*)"$/.exec(value);
  if (quoted !== null) return Buffer.from(quoted[1] ?? '', 'latin1');
  if (!/^(?:[0-9A-F]{2})+$/.test(value)) {
    throw new ParseError('parse.invalid', 'audit record', at, 'a name that is neither quoted nor in hex');
  }
  return fromHex(value, 'audit record');
}
