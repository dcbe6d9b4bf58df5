import { AssayError, type ExitCode } from '../bytes/index.ts';

export type AppraiseErrorCode =
  /** The tree's root cannot be opened, or is neither a folder nor a file. */
  | 'appraise.root'
  /** The file given as a journal is something else. */
  | 'appraise.not-a-journal'
  /** Others than who runs this could have written the journal. */
  | 'appraise.journal-of-another'
  /** Options that do not go together, or a value that is out of range. */
  | 'appraise.option'
  /** What is to be imported is neither a manifest nor an archive that this reads. */
  | 'appraise.not-portable'
  /** A worker thread ended before its work. */
  | 'appraise.worker';

/** What stops a whole run. What goes wrong with one file is a {@link Problem} and does not. */
export class AppraiseError extends AssayError {
  readonly code: AppraiseErrorCode;

  constructor(
    code: AppraiseErrorCode,
    message: string,
    options: { advice?: string; exitCode?: ExitCode; cause?: unknown } = {},
  ) {
    super(message, options);
    this.code = code;
  }
}
