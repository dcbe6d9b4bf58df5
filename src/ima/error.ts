import { AssayError } from '../bytes/index.ts';

export type ImaErrorCode =
  /** The input is no IMA measurement list, in binary or ASCII form. */
  | 'ima.not-a-list'
  /** The list was written by a big-endian kernel without `ima_canonical_fmt`. */
  | 'ima.big-endian'
  /** The input ends inside an entry. */
  | 'ima.list-truncated'
  /** An entry's template is not one whose fields are known. */
  | 'ima.unknown-template'
  /** A value cannot be written into a measurement list, or a replay was asked for what it cannot compute. */
  | 'ima.invalid-argument'
  /** Text of PCR values that is in none of the forms that are read. */
  | 'ima.pcr-text'
  /** What was asked cannot be told from what was given. */
  | 'ima.cannot-check';

/** What went wrong with a measurement list. Malformed bytes inside a list are a `ParseError` with their offset instead. */
export class ImaError extends AssayError {
  readonly code: ImaErrorCode;

  constructor(code: ImaErrorCode, message: string, advice?: string) {
    super(message, { ...(advice === undefined ? {} : { advice }), exitCode: code === 'ima.cannot-check' ? 3 : 2 });
    this.code = code;
  }
}
