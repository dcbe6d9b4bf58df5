/** Key files: a trusted key's blob with its policy beside it, or an encrypted key's line. */
import { existsSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import {
  type EncryptedKey,
  encodePolicyFile,
  encodeProtectedKey,
  encodeTrustedBlob,
  KeyError,
  looksEncrypted,
  looksProtected,
  type ProtectedKey,
  parseEncryptedKey,
  parsePolicyFile,
  parseProtectedKey,
  parseTrustedKey,
  type TrustedBlob,
} from '../../keys/index.ts';
import { replaceFile } from '../../sys/index.ts';
import type { Policy } from '../../tpm/index.ts';
import { inFile } from '../in-file.ts';
import { readInput } from '../read-input.ts';
import { checkBootFolder, refreshBootFolder } from './boot-folder.ts';

export type KeyFile =
  | { readonly kind: 'trusted'; readonly blob: TrustedBlob }
  | { readonly kind: 'encrypted'; readonly key: EncryptedKey }
  | { readonly kind: 'protected'; readonly key: ProtectedKey };

const MAX_KEY_FILE = 1024 * 1024;

/** @throws {KeyError} `key.malformed`, with the file's name */
export function readKeyFile(path: string): KeyFile {
  return inFile(path, () => parseKeyFile(readInput(path, MAX_KEY_FILE).toString('latin1')));
}

function parseKeyFile(text: string): KeyFile {
  if (looksProtected(text)) return { kind: 'protected', key: parseProtectedKey(text) };
  if (looksEncrypted(text)) return { kind: 'encrypted', key: parseEncryptedKey(text) };
  if (/^\s*(?:load\s+)?[0-9a-fA-F]+\s*$/.test(text)) return { kind: 'trusted', blob: parseTrustedKey(text) };
  throw new KeyError('key.malformed', 'this is neither a trusted, an encrypted nor a protected key', {
    advice:
      'a trusted key is hexadecimal, an encrypted one FORMAT MASTER LENGTH HEX, as keyctl pipe gives them; a protected one JSON',
  });
}

const policyFileOf = (path: string): string => `${path}.policy`;

/** What is kept beside a trusted key; nothing where it came from elsewhere. */
export function readPolicies(path: string): Policy[] {
  const file = policyFileOf(path);
  if (path === '-' || !existsSync(file)) return [];
  return inFile(file, () => parsePolicyFile(readInput(file, MAX_KEY_FILE).toString('utf8')));
}

/** @throws {KeyError} `key.exists`: a key that is lost takes with it what it protects */
export function refuseExisting(path: string): void {
  if (!existsSync(path) || statSync(path).size === 0 || !statSync(path).isFile()) return;
  throw new KeyError('key.exists', `${path} is there already, and is not replaced`, {
    advice: 'name another file, or remove it if nothing depends on it',
  });
}

/** The hex text is without an end of line, as `keyctl pipe` gives it: what follows it would be read as part of the key. */
const textOf = (blob: TrustedBlob): string => encodeTrustedBlob(blob).toString('hex');

/** Writes a key where there is none. */
export async function writeTrustedKey(path: string, blob: TrustedBlob, policy: Policy | undefined): Promise<void> {
  if (policy === undefined) await rm(policyFileOf(path), { force: true });
  else await replaceFile(policyFileOf(path), encodePolicyFile([policy]));
  await replaceFile(path, textOf(blob));
}

/**
 * Replaces a key by the same one under another policy. Whatever ends this in between, the file that is there has its
 * policy beside it.
 */
export async function replaceTrustedKey(
  path: string,
  blob: TrustedBlob,
  policy: Policy,
  before: readonly Policy[],
): Promise<void> {
  await replaceFile(policyFileOf(path), encodePolicyFile([policy, ...before].slice(0, 8)));
  await replaceFile(path, textOf(blob));
  await replaceFile(policyFileOf(path), encodePolicyFile([policy]));
}

/** @throws {KeyError} `key.malformed`, `key.option` for a key of another kind */
export function readProtectedKey(path: string): ProtectedKey {
  const file = readKeyFile(path);
  if (file.kind === 'protected') return file.key;
  throw new KeyError('key.option', `${path} is a key of kind '${file.kind}', which has no protectors`, {
    advice: 'make one with `assay key create protected`',
  });
}

/** The old file or the new one is there, whatever happens in between. */
export async function replaceProtectedKey(path: string, key: ProtectedKey): Promise<void> {
  checkBootFolder(path, key);
  await replaceFile(path, encodeProtectedKey(key));
  await refreshBootFolder(path, key);
}
