import { createInterface, type Interface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { SecretSourceError } from './secret-error.ts';

/**
 * Asks at the terminal without showing what is typed; from a pipe it takes the first line.
 * @throws {SecretSourceError} where nothing comes: an end of the input, or Ctrl-C
 */
export async function askPassphrase(prompt = 'PEM password: '): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: process.stdin.isTTY === true });
  // After the terminal has stopped showing what is typed: who answers at once is not shown either.
  process.stderr.write(prompt);
  try {
    return await firstLine(lines);
  } catch (cause) {
    throw new SecretSourceError('nothing was typed where a secret was asked for', { cause });
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}

/** `question` alone waits for ever where the input ends. */
function firstLine(lines: Interface): Promise<string> {
  return new Promise((resolve, reject) => {
    lines.once('close', () => reject(new Error('the input ended')));
    lines.question('').then(resolve, reject);
  });
}
