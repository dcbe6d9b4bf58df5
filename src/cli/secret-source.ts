/**
 * Where a secret comes from. Never the command line itself: every user of the machine can read it there, and shells keep
 * it. `file:PATH` and `fd:N` are read whole, `-` is standard input, `prompt` asks at the terminal.
 */
import { isUtf8 } from 'node:buffer';
import { askPassphrase } from './ask-passphrase.ts';
import { readFully, readInput } from './read-input.ts';
import { SecretSourceError } from './secret-error.ts';

export const SECRET_FORMS = 'file:PATH, fd:N, - (standard input) or prompt';
const MAX_SECRET = 64 * 1024;

/**
 * @param source one of {@link SECRET_FORMS}
 * @param what for the prompt and for errors: `PIN`, `blobauth`
 */
export async function readSecret(source: string, what: string): Promise<Buffer> {
  if (source === 'prompt') return Buffer.from(await askPassphrase(`${what}: `));
  if (source === '-') return bounded(readInput('-', MAX_SECRET), what);
  const [, kind, place = ''] = /^(file|fd):(.+)$/s.exec(source) ?? [];
  if (kind === 'file') return bounded(readInput(place, MAX_SECRET), what);
  if (kind === 'fd' && /^\d{1,5}$/.test(place)) return readDescriptor(Number(place), what);
  // The value itself is not repeated: it may be the secret.
  throw new SecretSourceError(
    `${what} is not given on the command line, where every user of the machine could read it`,
    {
      advice: `name where it is: ${SECRET_FORMS}`,
    },
  );
}

/**
 * A password: the first line, without its end.
 * @throws {SecretSourceError} for what is no text: it could not be typed, and replaced characters would be another
 */
export async function readPassword(source: string, what: string): Promise<string> {
  const bytes = await readSecret(source, what);
  const end = bytes.indexOf(0x0a);
  const line = end < 0 ? bytes : bytes.subarray(0, end);
  if (isUtf8(line) && !line.includes(0)) return line.toString('utf8').replace(/\r$/, '');
  throw new SecretSourceError(`${what} is no text in UTF-8`, { advice: 'bytes of any kind go into --payload-file' });
}

/** A password that is chosen now. At a terminal it is asked for twice: a slip would be noticed when nothing opens any more. */
export async function readNewPassword(source: string, what: string): Promise<string> {
  const password = await readPassword(source, what);
  if (source !== 'prompt' || process.stdin.isTTY !== true) return password;
  if ((await readPassword(source, `${what} again`)) === password) return password;
  throw new SecretSourceError(`the ${what} was typed in two ways`, { advice: 'try again' });
}

/** All that the descriptor has. */
export function readDescriptor(fd: number, what: string): Buffer {
  const buffer = Buffer.alloc(MAX_SECRET + 1);
  try {
    return bounded(buffer.subarray(0, readFully(fd, buffer)), what);
  } catch (cause) {
    throw new SecretSourceError(`${what}: descriptor ${fd} cannot be read`, { cause });
  }
}

function bounded(bytes: Buffer, what: string): Buffer {
  if (bytes.length <= MAX_SECRET) return bytes;
  throw new SecretSourceError(`${what} has more than ${MAX_SECRET} bytes`);
}
