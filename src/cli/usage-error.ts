import { AssayError } from '../bytes/index.ts';

/** The command was typed in a way that it does not take. */
export class UsageError extends AssayError {
  readonly code = 'usage';

  constructor(message: string, advice: string) {
    super(message, { advice });
  }
}
