/** Key files: a trusted key's blob with its policy beside it, or an encrypted key's line. */
import { existsSync, lstatSync } from 'node:fs';
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
  parseTrustedBlob,
  parseTrustedKey,
  type TrustedBlob,
} from '../../keys/index.ts';
import { createFile, replaceFile } from '../../sys/index.ts';
import type { Policy } from '../../tpm/index.ts';
import { inFile } from '../in-file.ts';
import { readInput } from '../read-input.ts';
import { refreshBootFolder } from './boot-folder.ts';

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
  const [, base64] =
    /^-----BEGIN TSS2 PRIVATE KEY-----\s([A-Za-z0-9+/=\s]+)-----END TSS2 PRIVATE KEY-----\s*$/.exec(text) ?? [];
  if (base64 !== undefined) return { kind: 'trusted', blob: parseTrustedBlob(Buffer.from(base64, 'base64')) };
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

/**
 * Before the TPM is asked for a key that could not be written.
 * @throws {KeyError} `key.exists`: a key that is lost takes with it what it protects
 */
export function refuseExisting(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  // An empty file is one that mktemp(1) made for this key. What is no file is a device, which a rename would put away.
  if (found !== undefined && !(found.isFile() && found.size === 0)) throw alreadyThere(path);
}

const alreadyThere = (path: string): KeyError =>
  new KeyError('key.exists', `${path} is there already, and is not replaced`, {
    advice: 'name another file, or remove it if nothing depends on it',
  });

/**
 * Writes what nobody has written meanwhile.
 * @throws {KeyError} `key.exists`
 */
export async function writeNewFile(path: string, content: string): Promise<void> {
  refuseExisting(path);
  if (existsSync(path)) await replaceFile(path, content);
  else if (!(await createFile(path, content))) throw alreadyThere(path);
}

/** The hex text is without an end of line, as `keyctl pipe` gives it: what follows it would be read as part of the key. */
const textOf = (blob: TrustedBlob): string => encodeTrustedBlob(blob).toString('hex');

/**
 * Writes a key where there is none, with its policy beside it. The policy comes first: a key without one would not open.
 * @param text of the key, in a form of its own
 * @throws {KeyError} `key.exists`
 */
export async function writeTrustedKey(
  path: string,
  blob: TrustedBlob,
  policy: Policy | undefined,
  text = textOf(blob),
): Promise<void> {
  refuseExisting(path);
  if (policy === undefined) await rm(policyFileOf(path), { force: true });
  else await replacePolicies(path, [policy]);
  await writeNewFile(path, text);
}

/** What is kept beside a trusted key, anew. */
export async function replacePolicies(path: string, policies: readonly Policy[]): Promise<void> {
  await replaceFile(policyFileOf(path), encodePolicyFile(policies));
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
  await replacePolicies(path, [policy, ...before].slice(0, 8));
  await replaceFile(path, textOf(blob));
  await replacePolicies(path, [policy]);
}

/** @throws {KeyError} `key.malformed`, `key.option` for a key of another kind */
export function readProtectedKey(path: string): ProtectedKey {
  const file = readKeyFile(path);
  if (file.kind === 'protected') return file.key;
  throw new KeyError('key.option', `${path} is a key of kind '${file.kind}', which has no protectors`, {
    advice: 'make one with `assay key create protected`',
  });
}

/**
 * The old file or the new one is there, whatever happens in between. The folder for the boot follows first: where this ends
 * in between, the file opens as before, and the same command brings both together.
 */
export async function replaceProtectedKey(path: string, key: ProtectedKey): Promise<void> {
  await refreshBootFolder(path, key);
  await replaceFile(path, encodeProtectedKey(key));
}
