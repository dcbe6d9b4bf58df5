import { AssayError } from '../bytes/index.ts';

export type BootErrorCode =
  /** The input is no TCG event log, in the SHA-1 or the crypto-agile format. */
  | 'boot.not-a-log'
  /** This machine shows no firmware log. */
  | 'boot.no-log'
  /** A bank was asked for that the log does not carry. */
  | 'boot.no-such-bank'
  /** A record of a canonical event log that the form asked for has no place for. */
  | 'boot.cel-content'
  /** A boot's PCR values do not follow from what was given: something in it is not understood. */
  | 'boot.not-predictable';

/** What went wrong with a boot log as a whole. Malformed bytes inside one are a `ParseError` with their offset instead. */
export class BootError extends AssayError {
  readonly code: BootErrorCode;

  constructor(code: BootErrorCode, message: string, advice?: string) {
    super(message, {
      ...(advice === undefined ? {} : { advice }),
      ...(code === 'boot.not-predictable' || code === 'boot.no-log' ? { exitCode: 3 } : {}),
    });
    this.code = code;
  }
}
