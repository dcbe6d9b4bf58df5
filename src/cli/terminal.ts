/** What goes to the person's terminal: never a control character that came from data, colour only where it is wanted. */
import { styleText } from 'node:util';

/** Replaces control characters (newlines in file names included), so that data cannot forge lines or move the cursor. */
export function escapeControls(text: string, keepNewlines = false): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (char) => {
    if (keepNewlines && char === '\n') return char;
    if (char === '\n') return '\\n';
    const code = char.charCodeAt(0);
    return code > 0xff ? `\\u${code.toString(16)}` : `\\x${code.toString(16).padStart(2, '0')}`;
  });
}

/** One JSON document on stdout. */
export function printJson(value: unknown): void {
  process.stdout.write(`${terminalJson(value)}\n`);
}

/** JSON whose reader sees the same, and whose terminal no control character: JSON itself escapes those below U+0020 alone. */
export function terminalJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (char) => {
      return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
    },
  );
}

export function printLine(line = ''): void {
  process.stdout.write(`${line}\n`);
}

type Style = Parameters<typeof styleText>[0];

/** Styles text where stdout is a terminal and NO_COLOR is not set. */
export function styled(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout, validateStream: true });
}

/** Columns padded to their widest cell, two spaces apart; the last is left ragged. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows
    .map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('  '))
    .join('\n');
}

/** Progress on stderr where it is a terminal; nothing in a pipe. */
export class Progress {
  readonly #live = process.stderr.isTTY === true;

  step(text: string): void {
    if (this.#live) process.stderr.write(`\r\u001b[K${escapeControls(text)}`);
  }

  done(): void {
    if (this.#live) process.stderr.write('\r\u001b[K');
  }
}
