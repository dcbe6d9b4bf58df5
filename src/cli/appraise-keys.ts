/** The keys, and what is blacklisted, that `assay appraise` judges by. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { AppraiseError, type JudgeKeys, type KeyFileBytes } from '../appraise/index.ts';
import { digestInfo } from '../bytes/index.ts';
import { DigsigError, readPublicKeys } from '../digsig/index.ts';
import { EVM_KEY_SIZE } from '../evm/index.ts';
import { escapeControls } from './terminal.ts';
import { collect } from './tree-options.ts';

export interface AppraiseKeyFlags {
  readonly key?: readonly string[];
  readonly keyring?: string;
  readonly blacklist?: readonly string[];
  readonly evmKey?: readonly string[];
  readonly evmXattr?: readonly string[];
  readonly imaHash?: string;
}

/** Adds the options by which labels are judged. */
export function addKeyOptions(command: Command): Command {
  return command
    .option('--key <file>', 'certificate or public key that signatures verify by; may be repeated', collect)
    .option(
      '--keyring <folder>',
      'every certificate and public key in this folder; its folder blacklist holds no longer',
    )
    .option(
      '--blacklist <file>',
      'keys that no longer verify, or hashes (lines bin:HEX) that no file may have; may be repeated',
      collect,
    )
    .option(
      '--evm-key <file>',
      'judge security.evm too: by this certificate, or this payload of evm-key; may be repeated',
      collect,
    )
    .option('--evm-xattr <name>', EVM_XATTR_HELP, collect)
    .option('--ima-hash <algorithm>', "the kernel's ima_hash=, for labels that name no algorithm (left out: sha256)");
}

export const EVM_XATTR_HELP =
  "an attribute that EVM protects beside its own, as the kernel's evm_xattrs names it; security.assay.dir covers directories (may be repeated)";

export type AppraiseKeys = JudgeKeys;

/** Of a folder of keys: what is in it no longer verifies. */
const BLACKLIST_FOLDER = 'blacklist';

/** @throws {AppraiseError} @throws the error of node:fs for what cannot be read */
export function appraiseKeys({
  key = [],
  keyring,
  blacklist = [],
  evmKey = [],
  evmXattr,
  imaHash,
}: AppraiseKeyFlags): AppraiseKeys {
  const listed = keyring === undefined ? [] : blacklistOf(keyring);
  return {
    keys: [...read(key), ...read(filesOf(keyring)).filter(hasKey)],
    blacklist: read([...blacklist, ...listed]),
    ...evmKeysOf(read(evmKey)),
    ...(evmXattr === undefined ? {} : { evmXattrs: evmXattr }),
    ...(imaHash === undefined ? {} : { imaHash: digestInfo(imaHash).name }),
  };
}

const read = (files: readonly string[]): KeyFileBytes[] =>
  files.map((source) => ({ bytes: readFileSync(source), source }));

function blacklistOf(keyring: string): string[] {
  const folder = join(keyring, BLACKLIST_FOLDER);
  return existsSync(folder) ? filesOf(folder) : [];
}

function filesOf(folder: string | undefined): string[] {
  if (folder === undefined) return [];
  const entries = readdirSync(folder, { withFileTypes: true }).filter((entry) => !entry.name.startsWith('.'));
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(folder, entry.name));
}

/** Such folders hold notes and private keys too. In the blacklist, and by name, what is no key is an error. */
function hasKey(file: KeyFileBytes): boolean {
  const has = isPublicKey(file);
  if (!has) process.stderr.write(`assay: ${escapeControls(file.source)}: no public key; passed over\n`);
  return has;
}

/** Certificates and public keys, and one HMAC key: what is no key in PEM or DER. */
function evmKeysOf(files: readonly KeyFileBytes[]): Pick<AppraiseKeys, 'evmKeys' | 'evmHmacKey'> {
  const payloads = files.filter((file) => file.bytes.length <= EVM_KEY_SIZE && !isPublicKey(file));
  const [payload, another] = payloads;
  if (another !== undefined) {
    throw new AppraiseError('appraise.option', `${another.source}: a second HMAC key`, {
      advice: 'the kernel has one',
    });
  }
  const evmKeys = files.filter((file) => !payloads.includes(file));
  return { evmKeys, ...(payload === undefined ? {} : { evmHmacKey: payload.bytes }) };
}

function isPublicKey({ bytes, source }: KeyFileBytes): boolean {
  try {
    return readPublicKeys(bytes, { source }).length > 0;
  } catch (error) {
    if (error instanceof DigsigError) return false;
    throw error;
  }
}
