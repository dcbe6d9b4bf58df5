import { KeyError } from '../../keys/index.ts';
import { readNewPassword, readPassword } from '../secret-source.ts';

/** @returns a secret @throws {KeyError} `key.size` */
export const readPin = async (source: string): Promise<Uint8Array> => pinOf(await readPassword(source, 'PIN'));

/** As {@link readPin}, of one that is chosen now. */
export const readNewPin = async (source: string): Promise<Uint8Array> =>
  pinOf(await readNewPassword(source, 'new PIN'));

/** An empty PIN would be none: the TPM then opens for everybody. */
function pinOf(text: string): Uint8Array {
  if (text !== '') return Buffer.from(text);
  throw new KeyError('key.size', 'the PIN is empty');
}
