/** `--key` and `--migration-key`, as swtpm takes them: an AES key in a file or descriptor, or a passphrase that becomes one. */
import { closeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Option } from 'commander';
import { deriveStateKey, parseStateKey, type StateKey } from '../../vtpm/index.ts';
import { readInput } from '../read-input.ts';
import { readDescriptor } from '../secret-source.ts';
import { CommaOptions } from './comma-options.ts';

export const KEY_FORMS =
  'file=PATH|fd=N[,format=hex|binary] or pwdfile=PATH|pwdfd=N[,kdf=pbkdf2|sha512], with mode=aes-cbc|aes-256-cbc and remove';

/** `--key` and the like. @param flag `--key` */
export function keyOption(flag: string, description: string): Option {
  return new Option(`${flag} <options>`, description).argParser((text: string) => parseKeyOption(flag, text));
}

const KNOWN = ['file', 'fd', 'pwdfile', 'pwdfd', 'mode', 'format', 'kdf', 'remove'];
const MODES = ['aes-cbc', 'aes-128-cbc', 'aes-256-cbc'] as const;
const MAX_KEY_FILE = 64 * 1024;

/** Where a key comes from; nothing is read yet. */
export interface KeySource {
  readonly option: string;
  readonly from: { readonly file: string } | { readonly fd: number };
  readonly isPassphrase: boolean;
  readonly format: 'hex' | 'binary';
  readonly kdf: 'sha512' | 'pbkdf2';
  readonly size: 16 | 32;
  readonly removes: boolean;
}

/** @throws {UsageError} */
function parseKeyOption(option: string, text: string): KeySource {
  const options = new CommaOptions(option, text, KNOWN);
  const places = [
    { file: options.text('file'), fd: options.fd('fd'), isPassphrase: false },
    { file: options.text('pwdfile'), fd: options.fd('pwdfd'), isPassphrase: true },
  ].flatMap(({ file, fd, isPassphrase }) => [
    ...(file === undefined ? [] : [{ from: { file }, isPassphrase }]),
    ...(fd === undefined ? [] : [{ from: { fd }, isPassphrase }]),
  ]);
  const [place, ...others] = places;
  if (place === undefined || others.length > 0) return options.refuse('one of file, fd, pwdfile and pwdfd is needed');
  return {
    option,
    ...place,
    format: options.oneOf('format', ['hex', 'binary']) ?? 'hex',
    kdf: options.oneOf('kdf', ['pbkdf2', 'sha512']) ?? 'pbkdf2',
    size: options.oneOf('mode', MODES) === 'aes-256-cbc' ? 32 : 16,
    removes: options.flag('remove'),
  };
}

/** Reads the key, once: a descriptor is closed, and a file removed where that was asked. @throws {VtpmError} `vtpm.argument` */
export async function readStateKey(source: KeySource): Promise<StateKey> {
  const { from, isPassphrase, format, kdf, size, removes, option } = source;
  const content = 'fd' in from ? readDescriptor(from.fd, option) : readInput(from.file, MAX_KEY_FILE);
  const key = isPassphrase ? deriveStateKey(content, kdf, size) : parseStateKey(content, format, size);
  content.fill(0);
  if ('fd' in from) closeSync(from.fd);
  else if (removes) await rm(from.file, { force: true });
  return key;
}
