import { AssayError, type ExitCode } from '../bytes/index.ts';
import { escapeControls, printJson } from './terminal.ts';

/** System errors that a person can mend, in words; anything else is a defect of ours and keeps its stack. */
const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied; root may be needed',
  EPERM: 'not permitted; root may be needed',
  EISDIR: 'is a folder, a file is needed',
  ENOTDIR: 'a part of the path is not a folder',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
  EFBIG: 'the file would be larger than the limit for files (ulimit -f)',
  EDQUOT: 'the disk quota is used up',
  EEXIST: 'is there already and is something else',
  ELOOP: 'its symbolic links lead in a circle',
  ENAMETOOLONG: 'the name is too long',
  EIO: 'the device cannot be read or written',
  EADDRINUSE: 'the address is in use; choose another port',
  ECONNREFUSED: 'nothing listens there',
};

interface Reported {
  readonly code: string;
  readonly message: string;
  readonly advice: string | undefined;
  readonly exitCode: ExitCode;
}

function describe(error: unknown): Reported {
  if (error instanceof AssayError) {
    const { code, message, advice, exitCode } = error;
    return { code, message, advice, exitCode };
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const words = SYSTEM_ERRORS[error.code] ?? ('syscall' in error ? error.message : undefined);
    if (words !== undefined) {
      const place = 'path' in error && typeof error.path === 'string' ? error.path : error.message;
      const exitCode = error.code === 'ECONNREFUSED' ? 3 : 2;
      return { code: `system.${error.code.toLowerCase()}`, message: `${place}: ${words}`, advice: undefined, exitCode };
    }
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    code: 'internal',
    message,
    advice: 'this is a defect in assay: please report it with this text',
    exitCode: 2,
  };
}

/** Says that standard output cannot be written, where nothing can be said on it. Returns the exit code. */
export function reportUnwritable(error: NodeJS.ErrnoException): ExitCode {
  const why = SYSTEM_ERRORS[error.code ?? ''] ?? error.message;
  process.stderr.write(`assay: standard output cannot be written: ${escapeControls(why)}\n`);
  return 3;
}

/** Prints the error for people on stderr and, with `--json`, as an object on stdout. Returns the exit code. */
export function reportError(error: unknown, asJson: boolean): ExitCode {
  const { code, message, advice, exitCode } = describe(error);
  const line = advice === undefined ? message : `${message}; ${advice}`;
  process.stderr.write(`assay: ${escapeControls(line, code === 'internal')}\n`);
  if (asJson) printJson({ error: { code, message, ...(advice === undefined ? {} : { advice }) } });
  return exitCode;
}
