/**
 * File names come from hosts that may be hostile. A name can hold line ends, terminal controls, bidirectional overrides
 * that turn `gpj.exe` round, or characters that take no room. What a reader could not see, or would see elsewhere than it
 * stands, is written as an escape.
 */

export interface Piece {
  readonly text: string;
  /** The text stands for one character that is not shown as it is. */
  readonly escaped: boolean;
}

/**
 * Controls, format characters (bidi, zero width), surrogates, private use and unassigned (\p{C}); what Unicode lets
 * renderers ignore (\p{DI}: fillers, joiners, variation selectors); line and paragraph separators; the blank Braille
 * pattern; spaces other than U+0020, and U+0020 where nothing stands on one side of it.
 */
const UNSEEN = /[\p{C}\p{DI}\p{Zl}\p{Zp}\u2800]|(?! )\p{Zs}|^ | $/gu;

/** The text in pieces, in order; the escaped ones are `\n`, `\x1b`, `\u202e`, `\u{e0041}`. */
export function visiblePieces(text: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(UNSEEN)) {
    if (match.index > end) pieces.push({ text: text.slice(end, match.index), escaped: false });
    pieces.push({ text: escapeOf(match[0]), escaped: true });
    end = match.index + match[0].length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end), escaped: false });
  return pieces;
}

/** The same as one string, for places that take no mark-up (a title, a label). */
export function visibleText(text: string): string {
  return visiblePieces(text)
    .map((piece) => piece.text)
    .join('');
}

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\0': '\\0' };

function escapeOf(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\u{${code.toString(16)}}`;
}
