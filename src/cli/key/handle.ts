import { InvalidArgumentError } from 'commander';
import { handleOf } from '../../keys/index.ts';

/** A handle on the command line. */
export function handleArgument(text: string): number {
  try {
    return handleOf(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? `${error.message}.` : 'no handle.');
  }
}
