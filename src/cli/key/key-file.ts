/** Key files: a trusted key's blob with its policy beside it, or an encrypted key's line. */
import { existsSync, realpathSync } from 'node:fs';
import {
  type EncryptedKey,
  KeyError,
  looksEncrypted,
  looksProtected,
  type ProtectedKey,
  parseEncryptedKey,
  parsePolicyFile,
  parseProtectedKey,
  parseTrustedBlob,
  parseTrustedKey,
  type TrustedBlob,
} from '../../keys/index.ts';
import type { Policy } from '../../tpm/index.ts';
import { inFile } from '../in-file.ts';
import { readInput } from '../read-input.ts';

export type KeyFile =
  | { readonly kind: 'trusted'; readonly blob: TrustedBlob }
  | { readonly kind: 'encrypted'; readonly key: EncryptedKey }
  | { readonly kind: 'protected'; readonly key: ProtectedKey };

const MAX_KEY_FILE = 1024 * 1024;

/**
 * @throws {KeyError} with the file's name: `key.not-a-key` for what is in none of the forms, `key.malformed` for what is
 *   damaged in one of them
 */
export function readKeyFile(path: string): KeyFile {
  return inFile(path, () => parseKeyFile(readInput(path, MAX_KEY_FILE).toString('latin1')));
}

/** @throws {KeyError} `key.option` for standard input, where nothing can be changed; as {@link readKeyFile} */
export function readKeyToChange(path: string): KeyFile {
  if (path !== '-') return readKeyFile(path);
  throw new KeyError('key.option', 'a key on standard input cannot be changed', { advice: 'name its file' });
}

function parseKeyFile(text: string): KeyFile {
  if (looksProtected(text)) return { kind: 'protected', key: parseProtectedKey(text) };
  if (looksEncrypted(text)) return { kind: 'encrypted', key: parseEncryptedKey(text) };
  if (looksTrusted(text)) return { kind: 'trusted', blob: parseTrustedKey(text) };
  if (looksPem(text)) return { kind: 'trusted', blob: parsePem(text) };
  throw new KeyError('key.not-a-key', 'this is neither a trusted, an encrypted nor a protected key', {
    advice:
      'a trusted key is hexadecimal, an encrypted one FORMAT MASTER LENGTH HEX, as keyctl pipe gives them; a protected one JSON',
  });
}

/** Nothing but hexadecimal, or what begins as the kernel's form does (a sequence of more than 127 bytes) and goes on otherwise. */
const looksTrusted = (text: string): boolean =>
  /^\s*(?:load\s+)?(?:[0-9a-fA-F]+\s*$|308[12][0-9a-fA-F]{12})/.test(text);

const looksPem = (text: string): boolean => text.startsWith('-----BEGIN TSS2 PRIVATE KEY-----');

function parsePem(text: string): TrustedBlob {
  const [, base64] =
    /^-----BEGIN TSS2 PRIVATE KEY-----\s([A-Za-z0-9+/=\s]+)-----END TSS2 PRIVATE KEY-----\s*$/.exec(text) ?? [];
  if (base64 !== undefined) return parseTrustedBlob(Buffer.from(base64, 'base64'));
  throw new KeyError('key.malformed', 'this is no trusted key: its PEM is damaged or cut short');
}

export const policyFileOf = (path: string): string => `${path}.policy`;

/** What is kept beside a trusted key, or beside the file that a link leads to; nothing where it came from elsewhere. */
export function readPolicies(path: string): Policy[] {
  if (path === '-') return [];
  const file = [realpathSync(path), path].map(policyFileOf).find((one) => existsSync(one));
  return file === undefined ? [] : inFile(file, () => parsePolicyFile(readInput(file, MAX_KEY_FILE).toString('utf8')));
}

/** @throws {KeyError} `key.option` for a key of another kind; as {@link readKeyFile} */
export function readProtectedKey(path: string, read = readKeyFile): ProtectedKey {
  const file = read(path);
  if (file.kind === 'protected') return file.key;
  throw new KeyError('key.option', `${path} is a key of kind '${file.kind}', which has no protectors`, {
    advice: 'make one with `assay key create protected`',
  });
}
