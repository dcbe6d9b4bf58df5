import { AssayError } from '../../bytes/index.ts';

export type EvmctlErrorCode =
  /** An option, command or operand that evmctl does not have, or that is missing. */
  | 'evmctl.usage'
  /** A file that cannot be read, or is not what it must be. */
  | 'evmctl.file'
  /** A signature or an attribute that does not verify. */
  | 'evmctl.not-verified';

export class EvmctlError extends AssayError {
  readonly code: EvmctlErrorCode;

  constructor(code: EvmctlErrorCode, message: string, options: { advice?: string; cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
  }
}
