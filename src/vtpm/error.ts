import { AssayError } from '../bytes/index.ts';

export type VtpmErrorCode =
  /** A program that makes or runs vTPMs is not installed. */
  | 'vtpm.missing-program'
  /** A path or key that swtpm cannot take. */
  | 'vtpm.argument'
  /** An address that cannot be served at: it is taken, or something that is not ours stands there. */
  | 'vtpm.address'
  /** A state is there already, or could not be made. */
  | 'vtpm.manufacture'
  /** The vTPM did not start, or ended by itself. */
  | 'vtpm.ended'
  /** The software TPM's state file is not what was written: a byte differs, or it is no such file. */
  | 'vtpm.state-damaged'
  /** The state is encrypted and there is no key or another, or it is not encrypted and there is one. */
  | 'vtpm.state-key'
  /** Another process uses the state file. */
  | 'vtpm.state-in-use'
  /** The state file or its CA could not be read or written, or their folder is not this user's alone. */
  | 'vtpm.state-io';

const BAD_INPUT: readonly VtpmErrorCode[] = ['vtpm.argument', 'vtpm.address', 'vtpm.state-damaged', 'vtpm.state-key'];

/** Raised by what makes, keeps and serves virtual TPMs. */
export class VtpmError extends AssayError {
  readonly code: VtpmErrorCode;

  constructor(code: VtpmErrorCode, message: string, options: { advice?: string; cause?: unknown } = {}) {
    super(message, { ...options, exitCode: BAD_INPUT.includes(code) ? 2 : 3 });
    this.code = code;
  }
}

/** The error for what the file system refused. */
export function stateIo(what: string, cause: unknown): VtpmError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const advice = cause instanceof AssayError ? cause.advice : undefined;
  return new VtpmError('vtpm.state-io', `${what}: ${why}`, { cause, ...(advice === undefined ? {} : { advice }) });
}
