/** The folder in which an initramfs finds a protected key: beside the key, named as it without `.key`. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { bootFiles, KeyError, type ProtectedKey } from '../../keys/index.ts';
import { exchangeNames, replaceFile, SysError } from '../../sys/index.ts';

const SUFFIX = '.key';

/** @throws {KeyError} `key.option` for a key's file that is not NAME.key */
export function bootFolderOf(path: string): string {
  if (path.endsWith(SUFFIX)) return path.slice(0, -SUFFIX.length);
  throw new KeyError(
    'key.option',
    `the folder for the initramfs stands beside the key, which must be named NAME${SUFFIX}`,
    {
      advice: `name the key /etc/assay/evm${SUFFIX}`,
    },
  );
}

/** Writes the folder anew; the one that is there is replaced as a whole. Only for who has the key's lock. */
export async function writeBootFolder(path: string, key: ProtectedKey): Promise<string> {
  const folder = bootFolderOf(path);
  const files = bootFiles(key); // refuses before anything is written
  const fresh = await mkdtemp(`${folder}.new-`);
  try {
    for (const { path: name, content } of files) {
      await mkdir(dirname(join(fresh, name)), { recursive: true, mode: 0o700 });
      await replaceFile(join(fresh, name), content);
    }
    if (existsSync(folder)) await exchange(fresh, folder);
    else await rename(fresh, folder);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  await removeKilled(folder);
  return folder;
}

/** What processes that were killed while they wrote the folder left beside it: no longer of use, now that it is whole. */
async function removeKilled(folder: string): Promise<void> {
  const [parent, start] = [dirname(folder), `${basename(folder)}.new-`];
  const isLeft = (name: string): boolean =>
    name.startsWith(start) && /^[A-Za-z0-9]{6}(?:\.old)?$/.test(name.slice(start.length));
  for (const name of (await readdir(parent)).filter(isLeft)) {
    const path = join(parent, name);
    if (!existsSync(`${path}${SUFFIX}`)) await rm(path, { recursive: true, force: true });
  }
}

/** At once: a machine that loses its power in between must not find no folder at its next boot. */
async function exchange(fresh: string, folder: string): Promise<void> {
  try {
    exchangeNames(fresh, folder);
  } catch (error) {
    if (!(error instanceof SysError)) throw error; // a file system that cannot, or no system calls here
    const old = `${fresh}.old`;
    await rename(folder, old);
    await rename(fresh, folder);
    await rm(old, { recursive: true, force: true });
  }
}

/**
 * When a key changes: the folder too, where there is one.
 * @throws {KeyError} `key.option` where no initramfs opens the key then
 */
export async function refreshBootFolder(path: string, key: ProtectedKey): Promise<void> {
  if (path.endsWith(SUFFIX) && existsSync(bootFolderOf(path))) await writeBootFolder(path, key);
}
