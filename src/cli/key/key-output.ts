/** Where a new key goes: into a file, or to standard output, where then nothing else stands. */
import { escapeControls, printJson, printLine } from '../terminal.ts';

export const OUTPUT_HELP = 'the key; - is standard output';

export const isStandardOutput = (output: string): boolean => output === '-';

/** For people. */
export const placeOf = (output: string): string => (isStandardOutput(output) ? 'standard output' : output);

export interface MadeKey {
  /** As it stands in a file. */
  readonly key: string;
  /** Of `--json`. */
  readonly fields: object;
  /** The same for people. */
  readonly lines: readonly string[];
}

/** Tells of a key that was made; one that goes to standard output is written there, and the words to standard error. */
export function tellMade(
  { output, json }: { readonly output: string; readonly json?: boolean },
  { key, fields, lines }: MadeKey,
): void {
  const isHere = isStandardOutput(output);
  if (json === true) printJson(isHere ? { ...fields, key } : fields);
  else if (isHere) {
    process.stdout.write(key);
    for (const line of lines) process.stderr.write(`assay: ${escapeControls(line)}\n`);
  } else for (const line of lines) printLine(escapeControls(line));
}
