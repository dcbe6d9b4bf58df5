/** The files of a key are written by one process at a time, whatever is one key's: the lock is that of their folder. */
import { dirname } from 'node:path';
import { KeyError } from '../../keys/index.ts';
import { lockFolder, removeLeftovers } from '../../sys/index.ts';
import { policyFileOf } from './key-file.ts';

/** Others have the lock while they write, and not while they ask people or a TPM. */
const PATIENCE_MS = 10_000;

/**
 * Does something with the files of a key while nobody else does.
 * @param path of the key's file, no link to it
 * @throws {KeyError} `key.busy`
 */
export async function alone<Result>(
  path: string,
  work: () => Promise<Result>,
  patience = PATIENCE_MS,
): Promise<Result> {
  const folder = dirname(path);
  const release = await lockFolder(folder, patience);
  if (release === undefined) {
    throw new KeyError('key.busy', `another process has locked ${folder}, where ${path} would be written`, {
      advice: `nothing was written: try again when it has ended (fuser -v ${folder} names it)`,
    });
  }
  try {
    await sweep(path);
    return await work();
  } finally {
    release();
  }
}

/** What killed processes left; what this user may not remove hinders nobody. */
async function sweep(path: string): Promise<void> {
  for (const file of [path, policyFileOf(path)]) await removeLeftovers(file).catch(() => undefined);
}
