/** Scalars of tpm2_eventlog's YAML (tpm2-tools 5.4, lib/tpm2_eventlog_yaml.c), in the styles that it writes. */
import { toHex } from '../../bytes/index.ts';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** What YAML 1.2 does not let stand in a stream (5.1), and the separators that readers take for line ends. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NOT_PRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/;
const PLAIN = /^[A-Za-z0-9](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/** Of a payload that is shown as hex, tpm2_eventlog shows no more than this (EVENT_BUF_MAX). */
const MAX_SHOWN_BYTES = 1024;

/** `Event: "…"`: a payload as hex, its first KiB. */
export function hexEvent(data: Uint8Array): string[] {
  return [`  Event: "${toHex(data.subarray(0, MAX_SHOWN_BYTES))}"`];
}

/** A double-quoted scalar; JSON's escapes are YAML's too (YAML 1.2, 5.7). */
export function quoted(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** A plain scalar, as variable names are written; quoted where YAML would read something else. */
export function plain(text: string): string {
  const isPlain = text === '' || (PLAIN.test(text) && !text.includes(': ') && !text.includes(' #') && !/:$/.test(text));
  return isPlain ? text : quoted(text);
}

/** Up to the first NUL, as C prints a string. */
export function untilNul(text: string): string {
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}

/** `Event: |-` and the payload's text up to its first NUL; hex where that is no text. */
export function textEvent(data: Uint8Array): string[] {
  const end = data.indexOf(0);
  const text = utf8(end < 0 ? data : data.subarray(0, end));
  if (text === undefined || NOT_PRINTABLE.test(text)) return hexEvent(data);
  return ['  Event: |-', `    ${text.replaceAll('\n', '\n    ')}`];
}

function utf8(data: Uint8Array): string | undefined {
  try {
    return UTF8.decode(data);
  } catch {
    return undefined;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\0': '0',
  '\u0007': 'a',
  '\b': 'b',
  '\t': 't',
  '\v': 'v',
  '\f': 'f',
  '\r': 'r',
  '\u001b': 'e',
  "'": "'",
  '\\': '\\',
};
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const ESCAPED_IN_TEXT = /[\u0000-\u0009\u000b-\u001f'\\\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;
/** The same, and every byte that is not ASCII. */
const ESCAPED_IN_BYTES = /[^\n\x20-\x26\x28-\x5b\x5d-\x7e]/g;

/**
 * The value of a block `String: |-`: each line of the text in quotes, with C's escapes. They are part of the value for a
 * YAML reader, to whom a literal block knows neither quotes nor escapes. Bytes that are no UTF-8 are escaped as `\xNN`.
 *
 * One string for all lines: of a MiB of line ends an array would be made a million long.
 */
export function stringBlock(data: Uint8Array, indent: string): string {
  const text = utf8(data);
  const escaped =
    text?.replace(ESCAPED_IN_TEXT, escapeOf) ??
    Buffer.from(data).toString('latin1').replace(ESCAPED_IN_BYTES, escapeOf);
  const lines = escaped.endsWith('\n') ? escaped.slice(0, -1) : escaped;
  return `${indent}"${lines.replaceAll('\n', `"\n${indent}"`)}"`;
}

function escapeOf(char: string): string {
  const letter = ESCAPES[char];
  return letter === undefined ? hexEscape(char) : `\\${letter}`;
}

function hexEscape(char: string): string {
  const code = char.charCodeAt(0).toString(16);
  return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`;
}
