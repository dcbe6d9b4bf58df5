/**
 * Key files as they are made and changed: one process at a time in a folder. What was read before (for a key is opened, and
 * people are asked, without a lock) is looked at again under the lock, so that nothing that another did meanwhile is lost.
 */
import { existsSync, lstatSync, realpathSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import {
  type EncryptedKey,
  encodeEncryptedKey,
  encodePolicyFile,
  encodeProtectedKey,
  encodeTrustedBlob,
  isSameKey,
  KeyError,
  type ProtectedKey,
  type TrustedBlob,
} from '../../keys/index.ts';
import { createFile, replaceFile } from '../../sys/index.ts';
import type { Policy } from '../../tpm/index.ts';
import { refreshBootFolder, writeBootFolder } from './boot-folder.ts';
import { type KeyFile, policyFileOf, readKeyFile, readPolicies, readProtectedKey } from './key-file.ts';
import { alone } from './key-lock.ts';
import { isStandardOutput } from './key-output.ts';

// --- new keys ---------------------------------------------------------------------------------------------------------

/**
 * Before the TPM is asked for a key that could not be written.
 * @throws {KeyError} `key.exists`: a key that is lost takes with it what it protects
 */
export function refuseExisting(path: string): void {
  if (isStandardOutput(path)) return;
  const found = lstatSync(path, { throwIfNoEntry: false });
  // An empty file is one that mktemp(1) made for this key. What is no file is a device, which a rename would put away.
  if (found !== undefined && !(found.isFile() && found.size === 0)) throw alreadyThere(path);
}

const alreadyThere = (path: string): KeyError =>
  new KeyError('key.exists', `${path} is there already, and is not replaced`, {
    advice: 'name another file, or remove it if nothing depends on it',
  });

/**
 * Writes what nobody has written meanwhile. What goes to standard output is left to who tells of it.
 * @param beside files that belong to it, written before it: a key without them would not open
 * @throws {KeyError} `key.exists`
 */
export async function writeNewFile(path: string, content: string, beside?: () => Promise<void>): Promise<void> {
  if (isStandardOutput(path)) return;
  await alone(path, async () => {
    refuseExisting(path);
    await beside?.();
    if (existsSync(path)) await replaceFile(path, content);
    else if (!(await createFile(path, content))) throw alreadyThere(path);
  });
}

/** The hex text is without an end of line, as `keyctl pipe` gives it: what follows it would be read as part of the key. */
export const textOf = (blob: TrustedBlob): string => encodeTrustedBlob(blob).toString('hex');

/**
 * Writes a key where there is none, with its policy beside it.
 * @param text of the key, in a form of its own
 * @throws {KeyError} `key.exists`
 */
export async function writeTrustedKey(
  path: string,
  blob: TrustedBlob,
  policy: Policy | undefined,
  text = textOf(blob),
): Promise<void> {
  await writeNewFile(path, text, async () => {
    if (policy === undefined) await rm(policyFileOf(path), { force: true });
    else await replacePolicies(path, [policy]);
  });
}

/** Makes or renews the folder for the boot beside a key. @returns the folder */
export async function renewBootFolder(path: string): Promise<string> {
  return alone(realpathSync(path), () => writeBootFolder(path, readProtectedKey(path)));
}

// --- keys that are there ----------------------------------------------------------------------------------------------

/** A link is followed: beside it nothing would look for the key. */
async function change(path: string, work: (real: string, now: KeyFile) => Promise<void>): Promise<void> {
  const real = realpathSync(path);
  await alone(real, () => work(real, readKeyFile(real)));
}

async function replacePolicies(path: string, policies: readonly Policy[]): Promise<void> {
  await replaceFile(policyFileOf(path), encodePolicyFile(policies));
}

/** What is kept beside a trusted key, anew. @param next given the key as it is now */
export async function changePolicies(
  path: string,
  next: (blob: TrustedBlob, policies: readonly Policy[]) => readonly Policy[],
): Promise<void> {
  await change(path, async (real, now) => {
    if (now.kind !== 'trusted') throw changedMeanwhile(path);
    await replacePolicies(real, next(now.blob, readPolicies(path)));
  });
}

/**
 * Replaces a key by the same one under another policy. Whatever ends this in between, the file that is there has its
 * policy beside it.
 * @throws {KeyError} `key.busy` where it is no longer the one that was read
 */
export async function replaceTrustedKey(
  path: string,
  before: TrustedBlob,
  blob: TrustedBlob,
  policy: Policy,
): Promise<void> {
  await change(path, async (real, now) => {
    if (now.kind !== 'trusted' || textOf(now.blob) !== textOf(before)) throw changedMeanwhile(path);
    await replacePolicies(real, [policy, ...readPolicies(path)].slice(0, 8));
    await replaceFile(real, textOf(blob));
    await replacePolicies(real, [policy]);
  });
}

/** @throws {KeyError} `key.busy` where it is no longer the one that was read */
export async function replaceEncryptedKey(path: string, before: EncryptedKey, key: EncryptedKey): Promise<void> {
  await change(path, async (real, now) => {
    if (now.kind !== 'encrypted' || encodeEncryptedKey(now.key) !== encodeEncryptedKey(before))
      throw changedMeanwhile(path);
    await replaceFile(real, encodeEncryptedKey(key));
  });
}

/**
 * The old file or the new one is there, whatever happens in between. The folder for the boot follows first: where this ends
 * in between, the file opens as before, and the same command brings both together.
 * @param before the key as it was read
 * @param next of the key as it is now, which others may have changed since: protectors of theirs stay
 * @throws {KeyError} `key.busy` where the file holds another key now
 */
export async function changeProtectedKey(
  path: string,
  before: ProtectedKey,
  next: (now: ProtectedKey) => ProtectedKey,
): Promise<void> {
  await change(path, async (real, now) => {
    if (now.kind !== 'protected' || !isSameKey(before, now.key)) throw changedMeanwhile(path);
    const key = next(now.key);
    // Beside a link too: there an initramfs looks, whose key is /etc/assay/evm.key.
    for (const name of new Set([path, real])) await refreshBootFolder(name, key);
    await replaceFile(real, encodeProtectedKey(key));
  });
}

export const changedMeanwhile = (path: string): KeyError =>
  new KeyError('key.busy', `${path} was changed by another process meanwhile`, {
    advice: 'nothing was written: do it again',
  });
