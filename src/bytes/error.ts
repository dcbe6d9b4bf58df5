/** Why a command of Assay ends: the process's exit code, the same for every command (see ARCHITECTURE.md, "Exit codes"). */
export type ExitCode = 0 | 1 | 2 | 3;

/**
 * Base of every error that Assay raises on purpose. Each room has its own subclass whose `code` is drawn from a closed
 * union, so that callers can switch on it and the compiler notices a forgotten case.
 *
 * The message is one line for a person: what was wrong, where, and (in `advice`) what to do.
 * It never holds a secret: no key, password, authorization value or plaintext.
 */
export abstract class AssayError extends Error {
  abstract readonly code: string;
  /** What the person can do about it; a sentence, or undefined where there is nothing to advise. */
  readonly advice: string | undefined;
  /** The exit code of a command that ends with this error: 2 bad input or usage, 3 cannot tell. */
  readonly exitCode: ExitCode;

  constructor(message: string, options: { advice?: string; exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.advice = options.advice;
    this.exitCode = options.exitCode ?? 2;
  }
}

export type ParseErrorCode =
  /** The input ends before the value does. */
  | 'parse.truncated'
  /** A length or count is above the bound of its field; refused before anything is allocated. */
  | 'parse.too-large'
  /** Bytes are left over where the value must end. */
  | 'parse.trailing'
  /** A selector, tag or enumeration value that this version does not know. */
  | 'parse.unknown-value'
  /** The value is of the right size and cannot be right. */
  | 'parse.invalid';

/** Raised by every parser in Assay; carries the place, so that a person can look at the byte. */
export class ParseError extends AssayError {
  readonly code: ParseErrorCode;
  /** Offset of the offending byte from the start of the whole input. */
  readonly offset: number;
  /** What was being read, in the field's own terms: `TPMS_ATTEST.magic`, `IMA entry 17, template name`. */
  readonly what: string;

  constructor(code: ParseErrorCode, what: string, offset: number, detail: string) {
    super(`${what}: ${detail} (at byte ${offset})`);
    this.code = code;
    this.what = what;
    this.offset = offset;
  }
}
