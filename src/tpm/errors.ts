import { AssayError, ParseError, type ParseErrorCode } from '../bytes/index.ts';

export type TpmErrorCode =
  /** A value handed in cannot be marshalled: a buffer too long, a number out of its field's range. */
  | 'tpm.argument'
  /** The TPM answered with a response code; `rc` holds it. */
  | 'tpm.response'
  /** The TPM's bytes are not what the specification says. */
  | 'tpm.malformed'
  /** No answer within the time allowed. */
  | 'tpm.timeout'
  /** The TPM could not be reached, or the connection broke. */
  | 'tpm.transport'
  /** A session's HMAC or nonce is wrong: somebody stands between us and the TPM, or the authorization value differs. */
  | 'tpm.session'
  /** The TPM, or this program, lacks what was asked for. */
  | 'tpm.unsupported'
  /** A signature, certificate, Name or credential does not verify. */
  | 'tpm.untrusted';

/** Raised by everything in the TPM room except parsers of structures, which raise {@link TpmParseError}. */
export class TpmError extends AssayError {
  readonly code: TpmErrorCode;
  /** The TPM's response code, for `tpm.response`. */
  readonly rc: number | undefined;
  /** The bare message of a `tpm.argument`, to which each enclosing structure adds its field in front. */
  readonly detail: string;
  readonly path: readonly string[];

  constructor(
    code: TpmErrorCode,
    detail: string,
    options: { rc?: number; path?: readonly string[]; advice?: string; exitCode?: 2 | 3; cause?: unknown } = {},
  ) {
    const path = options.path ?? [];
    super(path.length > 0 ? `${joinPath(path)}: ${detail}` : detail, {
      ...(options.advice === undefined ? {} : { advice: options.advice }),
      exitCode: options.exitCode ?? (code === 'tpm.argument' ? 2 : 3),
      cause: options.cause,
    });
    this.code = code;
    this.rc = options.rc;
    this.detail = detail;
    this.path = path;
  }
}

/**
 * A structure that does not parse. Carries the field's path from the outermost structure, the offset in the whole
 * input, and the response code with which the specification has a TPM answer such a command (Part 2, the `#TPM_RC_…`
 * line of each table). `unmarshalCommand` adds to `rc` the number of the handle, parameter or session.
 */
export class TpmParseError extends ParseError {
  readonly path: readonly string[];
  readonly rc: number;
  readonly detail: string;

  constructor(code: ParseErrorCode, path: readonly string[], offset: number, detail: string, rc: number) {
    super(code, joinPath(path), offset, detail);
    this.path = path;
    this.rc = rc;
    this.detail = detail;
  }
}

/** Part 2, 6.6.3: the input ended before the value did. */
const TPM_RC_INSUFFICIENT = 0x09a;

/** Adds a field (or a structure's name) in front of an error's path; returns any other error unchanged. */
export function inField(error: unknown, field: string): unknown {
  if (error instanceof TpmParseError) return prefixed(error, field);
  if (error instanceof ParseError) {
    const detail = error.message.slice(error.what.length + 2).replace(/ \(at byte \d+\)$/, '');
    return new TpmParseError(error.code, [field], error.offset, detail, TPM_RC_INSUFFICIENT);
  }
  if (error instanceof TpmError && error.code === 'tpm.argument') {
    return new TpmError('tpm.argument', error.detail, { path: [field, ...error.path] });
  }
  return error;
}

function prefixed(error: TpmParseError, field: string): TpmParseError {
  return new TpmParseError(error.code, [field, ...error.path], error.offset, error.detail, error.rc);
}

/** The same error with another response code. */
export function withRc(error: TpmParseError, rc: number): TpmParseError {
  return new TpmParseError(error.code, error.path, error.offset, error.detail, rc);
}

function joinPath(path: readonly string[]): string {
  return path.join('.').replaceAll('.[', '[');
}
