/** Where Assay keeps what it must remember, and whether that can be kept there. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { AssayError, type ExitCode } from '../bytes/index.ts';
import { privateFolder, replaceFile, SysError } from '../sys/index.ts';
import { systemErrorWords } from './system-errors.ts';

/** The data folder cannot be used. */
export class DataFolderError extends AssayError {
  readonly code: 'data-folder.unusable' | 'data-folder.not-private' | 'data-folder.not-ours' | 'data-folder.in-use';

  constructor(
    code: DataFolderError['code'],
    message: string,
    options: { advice: string; exitCode?: ExitCode; cause?: unknown },
  ) {
    super(message, options);
    this.code = code;
  }
}

/** ASSAY_DATA; else /var/lib/assay for root, and for others the XDG base directory specification's place. */
export function defaultDataFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.ASSAY_DATA) return env.ASSAY_DATA;
  if (process.getuid?.() === 0) return '/var/lib/assay';
  return join(env.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'assay');
}

/** The software TPM's state within a data folder. */
export function softwareTpmFile(dataFolder: string): string {
  return join(dataFolder, 'software-tpm');
}

/** More than a full disk takes, and less than anybody waits for. */
const PROBE_SIZE = 256 * 1024;
const OWN_FILES = ['server', 'agent', 'guard', 'software-tpm', 'software-tpm-ca', 'try-it'];
const ANY_FOR_OTHERS = 0o077;
const ADVICE = 'name another data folder with --data DIR';

/**
 * Makes the data folder where it is not there, and tries to write in it, before anything else is opened: what comes
 * later would fail one by one, each in its own words.
 *
 * @param named what `--data` says; left out: the default
 * @returns its absolute path
 * @throws {DataFolderError}
 */
export async function prepareDataFolder(named?: string): Promise<string> {
  const folder = resolve(named ?? defaultDataFolder());
  try {
    refuseForeign(folder);
    await privateFolder(folder);
    const probe = join(folder, 'probe');
    await replaceFile(probe, new Uint8Array(PROBE_SIZE), { durable: false });
    await rm(probe);
  } catch (error) {
    throw unusable(folder, error);
  }
  return folder;
}

/** A folder that holds other things is not made private: `--data /etc` would lock everybody out of /etc. */
function refuseForeign(folder: string): void {
  if (!existsSync(folder)) return;
  const found = statSync(folder);
  if (!found.isDirectory() || (found.mode & ANY_FOR_OTHERS) === 0) return;
  const names = readdirSync(folder);
  if (names.length === 0 || names.some((name) => OWN_FILES.includes(name))) return;
  throw new DataFolderError('data-folder.not-ours', `the data folder ${folder} holds other things`, {
    advice: 'name a folder of its own with --data DIR',
  });
}

function unusable(folder: string, error: unknown): unknown {
  if (error instanceof SysError && error.code === 'sys.folder-not-private') {
    const advice = [error.advice, ADVICE].filter((part) => part !== undefined).join('; or ');
    return new DataFolderError('data-folder.not-private', `as the data folder: ${error.message}`, {
      advice,
      cause: error,
    });
  }
  const code = errnoOf(error);
  if (code === undefined) return error;
  const why = code === 'ENOENT' ? 'no folder can be made there' : (systemErrorWords(code) ?? code);
  return new DataFolderError('data-folder.unusable', `the data folder ${folder} cannot be used: ${why}`, {
    advice: ADVICE,
    cause: error,
  });
}

function errnoOf(error: unknown): string | undefined {
  if (error instanceof SysError) return error.errno;
  return error instanceof Error && 'code' in error && 'syscall' in error ? String(error.code) : undefined;
}
