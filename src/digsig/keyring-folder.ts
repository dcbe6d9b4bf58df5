/** A folder of certificates as a keyring, as `/etc/keys/ima` is one. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AssayError } from '../bytes/index.ts';
import { DigsigError } from './error.ts';
import { Keyring } from './keyring.ts';
import { MAX_KEYS_SIZE, readPublicKeys } from './public-keys.ts';

export interface KeyringFolder {
  readonly keyring: Keyring;
  /** Files in the folder that gave no key; each error names its file. */
  readonly skipped: readonly AssayError[];
}

export interface KeyringFolderOptions {
  /** A folder whose keys no longer verify, as the kernel's `.ima_blacklist` keyring. Each file there must be readable. */
  readonly blacklist?: string;
}

/**
 * Reads every regular file of a folder, in the order of their names, links followed; subfolders and hidden files are not
 * looked at. A file without a key is skipped and reported, for such folders hold notes and private keys too; in the
 * blacklist it is an error, for what is skipped there would verify.
 * @throws {DigsigError} for a folder that cannot be read, for two keys of one id, and for any bad file of the blacklist
 */
export function readKeyringFolder(folder: string, { blacklist }: KeyringFolderOptions = {}): KeyringFolder {
  const keyring = new Keyring();
  const skipped: AssayError[] = [];
  for (const file of filesOf(folder)) {
    try {
      for (const key of keysOf(file)) keyring.add(key);
    } catch (error) {
      if (!(error instanceof AssayError) || error.code === 'digsig.duplicate-key-id') throw error;
      skipped.push(error);
    }
  }
  for (const file of blacklist === undefined ? [] : filesOf(blacklist)) {
    for (const key of keysOf(file)) keyring.blacklist(key);
  }
  return { keyring, skipped };
}

function filesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => !name.startsWith('.'))
      .sort()
      .map((name) => join(folder, name))
      .filter((path) => statSync(path).isFile());
  } catch (cause) {
    throw new DigsigError('digsig.not-a-key', `${folder}: the folder of keys cannot be read`, { cause });
  }
}

function keysOf(file: string): ReturnType<typeof readPublicKeys> {
  if (statSync(file).size > MAX_KEYS_SIZE) throw new DigsigError('digsig.not-a-key', `${file}: too large for keys`);
  return readPublicKeys(readUnlessRefused(file), { source: file });
}

function readUnlessRefused(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new DigsigError('digsig.not-a-key', `${file}: cannot be read`, { cause });
  }
}
