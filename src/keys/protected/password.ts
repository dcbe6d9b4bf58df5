/** A password's master key: Argon2id (RFC 9106), with its parameters kept beside the key. */
import { argon2Sync, randomBytes } from 'node:crypto';
import { KeyError } from '../error.ts';
import { masterText } from './master-text.ts';

export interface Argon2Parameters {
  /** Text, as the program argon2(1) takes it too. */
  readonly salt: string;
  readonly passes: number;
  /** KiB */
  readonly memory: number;
  readonly lanes: number;
}

/** RFC 9106, section 4, the second recommended choice: 64 MiB, as an initramfs on a small machine has them. */
const PASSES = 3;
const MEMORY = 64 * 1024;
const LANES = 4;
/** What a key's file may ask for: a hostile one must not take the machine's memory or an hour. */
export const ARGON2_LIMITS = { passes: 64, memory: 1024 * 1024, lanes: 16 } as const;
/** argon2(1) reads no more. */
const MAX_PASSWORD = 127;

export const newArgon2Parameters = (): Argon2Parameters => ({
  salt: randomBytes(16).toString('hex'),
  passes: PASSES,
  memory: MEMORY,
  lanes: LANES,
});

/** @throws {KeyError} `key.size` for an empty password, or one too long */
export function passwordMaster(password: string, { salt, passes, memory, lanes }: Argon2Parameters): Buffer {
  const message = Buffer.from(password, 'utf8');
  if (message.length === 0 || message.length > MAX_PASSWORD) {
    throw new KeyError('key.size', `a password has 1 to ${MAX_PASSWORD} bytes`);
  }
  const parameters = { message, nonce: Buffer.from(salt), parallelism: lanes, tagLength: 32, memory, passes };
  return masterText(argon2Sync('argon2id', parameters));
}
