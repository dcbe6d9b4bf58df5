/**
 * Folders and files that hold what only this user may see or change: keys, tokens, the store, measurement lists.
 * Who can write to such a folder can put a link where a file is expected, or a file of their own; that is why one that
 * others can write to, or own, is refused and not repaired: what lies in it may be theirs already.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SysError } from './error.ts';
import { renameToNew } from './rename.ts';

/** Write permission of group and others (inode(7)). */
const WRITABLE_BY_OTHERS = 0o022;
const ANY_FOR_OTHERS = 0o077;

export interface PrivateFolderOptions {
  /**
   * Take the permissions of others away where they have any (the default). Without, a folder that others may read stays
   * as it is: for the folder of a file that a person named, which may be their home or /var/lib.
   */
  readonly tighten?: boolean;
}

/**
 * Makes the folder, with its parents, for this user alone (mode 0700); one that others may only read is tightened to
 * that. A symbolic link is followed, and the folder behind it judged.
 *
 * @throws {SysError} `sys.folder-not-private` where another user owns it, or group or others may write to it;
 *   `sys.call-failed` where it cannot be made, looked at or tightened
 */
export async function privateFolder(path: string, { tighten = true }: PrivateFolderOptions = {}): Promise<void> {
  try {
    await makeFolder(path);
    const found = await stat(path);
    if (!found.isDirectory()) throw new SysError('sys.call-failed', `${path} is no folder`, { errno: 'ENOTDIR' });
    refuseOthers(path, found.uid, found.mode);
    if (tighten && (found.mode & ANY_FOR_OTHERS) !== 0) await chmod(path, 0o700);
  } catch (error) {
    throw ioError(`the folder ${path} cannot be used`, error);
  }
}

/**
 * Makes the folder with its parents, mode 0700 each, where it is missing; one that is there is left as it is.
 * Not mkdir's `recursive`: Node tries for ever where the kernel says ENOENT of a name in a folder that is there, as in /proc.
 *
 * @throws the system's own error (`ErrnoException`)
 */
export async function makeFolder(path: string): Promise<void> {
  const refused = await tryFolder(path);
  if (refused === undefined || refused.code === 'EEXIST') return;
  if (refused.code !== 'ENOENT') throw refused;
  const parent = dirname(path);
  if (!existsSync(parent)) await makeFolder(parent); // another may have made it since
  const again = await tryFolder(path);
  if (again !== undefined && again.code !== 'EEXIST') throw again;
}

async function tryFolder(path: string): Promise<NodeJS.ErrnoException | undefined> {
  return (await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => error)) ?? undefined;
}

function refuseOthers(path: string, owner: number, mode: number): void {
  const user = process.geteuid?.();
  if (user !== owner) {
    throw new SysError(
      'sys.folder-not-private',
      `the folder ${path} belongs to user ${owner}, and this is user ${user}`,
      {
        advice: 'run as that user, or name a folder of your own',
      },
    );
  }
  if ((mode & WRITABLE_BY_OTHERS) !== 0) {
    const octal = (mode & 0o7777).toString(8);
    throw new SysError('sys.folder-not-private', `other users may write to the folder ${path} (mode ${octal})`, {
      advice: `look at what is in it; if all of it is yours, chmod 700 ${path}`,
    });
  }
}

export interface FileOptions {
  /** Permissions of the new file, exactly: the umask takes nothing away. 0600 where nothing is said. */
  readonly mode?: number;
  /** Wait until the disk has it, name and content (the default). Without, a power cut may leave the old file or the new. */
  readonly durable?: boolean;
}

/**
 * Replaces the file's content, or makes the file: whatever happens in between, the path names the old content or the new
 * one. A symbolic link in its place is replaced, not followed. A process that is killed can leave `PATH.<16 hex>.new`.
 *
 * @throws {SysError} `sys.call-failed` with its `errno`; the old file is there then
 */
export async function replaceFile(
  path: string,
  content: Uint8Array | string,
  options: FileOptions = {},
): Promise<void> {
  await writeAside(path, content, options, (aside) => rename(aside, path));
}

/**
 * Makes the file where nothing has its name; of many who try at once one does. Whoever sees the file sees all of it. A
 * process that is killed can leave `PATH.<16 hex>.new`.
 *
 * @returns whether it was made; false where the name is taken, by a link too
 * @throws {SysError} `sys.call-failed` with its `errno`
 */
export async function createFile(
  path: string,
  content: Uint8Array | string,
  options: FileOptions = {},
): Promise<boolean> {
  let isNew = true;
  await writeAside(path, content, options, async (aside) => {
    try {
      await nameNew(aside, path);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      isNew = false;
    }
    await rm(aside, { force: true });
  });
  return isNew;
}

/** link(2) never replaces, as rename(2) does. FAT, which USB sticks mostly have, knows no second names (EPERM). */
async function nameNew(aside: string, path: string): Promise<void> {
  try {
    await link(aside, path);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP'].includes(errnoOf(error) ?? '')) throw error;
    renameToNew(aside, path);
  }
}

/** Writes a file beside `path`, which `place` gives the name. */
async function writeAside(
  path: string,
  content: Uint8Array | string,
  { mode = 0o600, durable = true }: FileOptions,
  place: (aside: string) => Promise<void>,
): Promise<void> {
  const aside = `${path}.${randomBytes(8).toString('hex')}.new`;
  try {
    const file = await open(aside, 'wx', 0o600); // O_EXCL: neither a file nor a link that somebody put there is opened
    try {
      await writeWhole(file, content, mode, durable);
      await place(aside);
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
    if (durable) await syncFolder(dirname(path));
  } catch (error) {
    throw ioError(`${path} cannot be written`, error);
  }
}

async function writeWhole(
  file: FileHandle,
  content: Uint8Array | string,
  mode: number,
  durable: boolean,
): Promise<void> {
  try {
    if (mode !== 0o600) await file.chmod(mode);
    await file.writeFile(content);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
}

/** The rename is on disk when its folder is (fsync(2)). */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Removes what processes that were killed while they replaced `path` left beside it. Only for who holds a lock on the
 * file: what another is about to rename would be gone.
 */
export async function removeLeftovers(path: string): Promise<void> {
  const name = basename(path);
  const isLeftover = (other: string): boolean =>
    other.startsWith(`${name}.`) && /^[0-9a-f]{16}\.new$/.test(other.slice(name.length + 1));
  const others = await readdir(dirname(path));
  for (const other of others.filter(isLeftover)) await rm(join(dirname(path), other), { force: true });
}

function errnoOf(error: unknown): string | undefined {
  if (error instanceof SysError) return error.errno;
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function ioError(what: string, error: unknown): SysError {
  if (error instanceof SysError) return error;
  const errno = errnoOf(error);
  return new SysError('sys.call-failed', `${what}: ${errno ?? String(error)}`, { cause: error, errno });
}
