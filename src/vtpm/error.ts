import { AssayError } from '../bytes/index.ts';

export type VtpmErrorCode =
  /** A program that makes or runs vTPMs is not installed. */
  | 'vtpm.missing-program'
  /** A path or key that swtpm cannot take. */
  | 'vtpm.argument'
  /** A state is there already, or could not be made. */
  | 'vtpm.manufacture'
  /** The vTPM did not start, or ended by itself. */
  | 'vtpm.ended';

export class VtpmError extends AssayError {
  readonly code: VtpmErrorCode;

  constructor(code: VtpmErrorCode, message: string, options: { advice?: string; cause?: unknown } = {}) {
    super(message, { ...options, exitCode: code === 'vtpm.argument' ? 2 : 3 });
    this.code = code;
  }
}
