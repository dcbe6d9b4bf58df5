import { AssayError } from '../bytes/index.ts';

export type BootErrorCode =
  /** The input is no TCG event log, in the SHA-1 or the crypto-agile format. */
  | 'boot.not-a-log'
  /** A bank was asked for that the log does not carry. */
  | 'boot.no-such-bank';

/** What went wrong with a boot log as a whole. Malformed bytes inside one are a `ParseError` with their offset instead. */
export class BootError extends AssayError {
  readonly code: BootErrorCode;

  constructor(code: BootErrorCode, message: string, advice?: string) {
    super(message, advice === undefined ? {} : { advice });
    this.code = code;
  }
}
