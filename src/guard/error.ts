import { AssayError, type ExitCode } from '../bytes/index.ts';

export type GuardErrorCode =
  /** Options that do not go together, or a value that is out of range. */
  | 'guard.option'
  /** What is to be watched is no mount point. */
  | 'guard.not-a-mount'
  /** The kernel refuses to watch, or lacks what it takes. */
  | 'guard.cannot-watch'
  /** Another guard uses the folder. */
  | 'guard.running'
  /** No guard answers. */
  | 'guard.not-running'
  /** The guard refused what it was asked. */
  | 'guard.refused'
  /** A thread or process of the guard ended by itself. */
  | 'guard.failed'
  /** A tree whose directory labels are to be judged cannot be read. */
  | 'guard.tree'
  /** The measurement list cannot go on. */
  | 'guard.list';

/** What stops a guard, or keeps it from starting. What goes wrong with one access is a denial and does not. */
export class GuardError extends AssayError {
  readonly code: GuardErrorCode;

  constructor(
    code: GuardErrorCode,
    message: string,
    options: { advice?: string; exitCode?: ExitCode; cause?: unknown } = {},
  ) {
    super(message, options);
    this.code = code;
  }
}
