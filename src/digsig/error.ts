import { AssayError } from '../bytes/index.ts';

export type DigsigErrorCode =
  /** The bytes hold no key of the kind that was asked for. */
  | 'digsig.not-a-key'
  /** A key of a type, size or curve that the integrity subsystem's signatures do not have. */
  | 'digsig.unsupported-key'
  /** An encrypted key without a passphrase, or with a wrong one. */
  | 'digsig.passphrase'
  /** The certificate is not this key's. */
  | 'digsig.wrong-certificate'
  /** A key id that is no 32-bit number. */
  | 'digsig.key-id'
  /** Another key with the same id is in the keyring. */
  | 'digsig.duplicate-key-id'
  /** The digest cannot be signed: an algorithm that the key or the format does not have, or a digest of a wrong size. */
  | 'digsig.cannot-sign';

/** What went wrong with a key or a request. Malformed bytes of a signature are a `ParseError` with their offset instead. */
export class DigsigError extends AssayError {
  readonly code: DigsigErrorCode;

  constructor(code: DigsigErrorCode, message: string, options: { advice?: string; cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
  }
}
