/** Values go to stdout, everything said about them to stderr: scripts take the first, people read the second. */
export interface Output {
  /** A line of the result. */
  print(line: string): void;
  /** What went well or was left out. */
  say(line: string): void;
  /** Only with `-v`. */
  detail(line: string): void;
}

export function outputFor(verbose: number): Output {
  return {
    print: (line) => process.stdout.write(`${line}\n`),
    say: (line) => process.stderr.write(`${line}\n`),
    detail: (line) => {
      if (verbose > 0) process.stderr.write(`${line}\n`);
    },
  };
}
