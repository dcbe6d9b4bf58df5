import { AssayError, type ExitCode } from '../bytes/index.ts';
import { storeErrorWords, systemErrorAdvice, systemErrorWords } from './system-errors.ts';
import { escapeControls, printJson } from './terminal.ts';

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
  if (error instanceof Error && 'errcode' in error) {
    const words = storeErrorWords(Number(error.errcode));
    if (words !== undefined)
      return {
        code: 'system.store',
        message: words,
        advice: 'look at the data folder, or name another with --data DIR',
        exitCode: 2,
      };
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const words = systemErrorWords(error.code) ?? ('syscall' in error ? error.message : undefined);
    if (words !== undefined) {
      const place = 'path' in error && typeof error.path === 'string' ? error.path : error.message;
      const exitCode = error.code === 'ECONNREFUSED' ? 3 : 2;
      return {
        code: `system.${error.code.toLowerCase()}`,
        message: `${place}: ${words}`,
        advice: systemErrorAdvice(error.code),
        exitCode,
      };
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
  const why = systemErrorWords(error.code ?? '') ?? error.message;
  process.stderr.write(`assay: standard output cannot be written: ${escapeControls(why)}\n`);
  return 3;
}

/** Prints the error for people on stderr and, with `--json`, as an object on stdout. Returns the exit code. */
export function reportError(error: unknown, asJson: boolean): ExitCode {
  const { code, message, advice, exitCode } = describe(error);
  const line = advice === undefined ? message : `${message}; ${asClause(advice)}`;
  process.stderr.write(`assay: ${escapeControls(line, code === 'internal')}\n`);
  if (asJson) printJson({ error: { code, message, ...(advice === undefined ? {} : { advice }) } });
  return exitCode;
}

/** Advice of the tables is a sentence of its own; after a semicolon it is a clause. */
function asClause(advice: string): string {
  const start = /^[A-Z][a-z]/.test(advice) ? advice.charAt(0).toLowerCase() + advice.slice(1) : advice;
  return start.replace(/\.$/, '');
}
