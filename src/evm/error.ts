import { AssayError } from '../bytes/index.ts';

export type EvmErrorCode =
  /** An HMAC key that is empty or longer than the kernel's 128 bytes. */
  | 'evm.key'
  /** A number that does not fit its field: what was given is no inode's. */
  | 'evm.metadata'
  /** A portable signature of a file without `security.ima`, or a label over no attribute at all: the kernel takes neither. */
  | 'evm.nothing-to-protect';

/** What went wrong with a request. Malformed bytes of a label are a `ParseError` with their offset instead. */
export class EvmError extends AssayError {
  readonly code: EvmErrorCode;

  constructor(code: EvmErrorCode, message: string, advice?: string) {
    super(message, advice === undefined ? {} : { advice });
    this.code = code;
  }
}
