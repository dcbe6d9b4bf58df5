import { AssayError } from '../bytes/index.ts';

/** An error in what a file holds, with the file's name: a parser knows the place in the bytes, and not whose they are. */
class InFileError extends AssayError {
  readonly code: string;

  constructor(path: string, cause: AssayError) {
    const { code, message, advice, exitCode } = cause;
    super(`${path === '-' ? 'standard input' : path}: ${message}`, {
      ...(advice === undefined ? {} : { advice }),
      exitCode,
      cause,
    });
    this.code = code;
  }
}

/** Runs what reads `path`; where it fails, its error names the file. */
export function inFile<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof AssayError && !error.message.startsWith(path)) throw new InFileError(path, error);
    throw error;
  }
}
