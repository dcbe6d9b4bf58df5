/**
 * Key files on removable devices. The device is known by its file system's UUID, as findmnt(8) and blkid(8) give it, so
 * that it may be plugged in anywhere.
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, constants, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import { createFile } from '../../sys/index.ts';
import { KeyError } from '../error.ts';
import { masterText } from './master-text.ts';
import type { ProtectorOf } from './protected-key.ts';

const run = promisify(execFile);

export interface KeyFilePlace {
  /** UUID of the file system, as `blkid` prints it. */
  readonly fileSystem: string;
  /** From the file system's root. */
  readonly path: string;
}

/** A key file is hashed, so that any file of random bytes will do. */
const MIN_KEY_FILE = 32;
const MAX_KEY_FILE = 64 * 1024;
const NEW_KEY_FILE = 64;

/** The master key of a key file's content: its SHA-256, which `sha256sum` gives an initramfs. @throws {KeyError} `key.size` */
export function keyFileMaster(content: Uint8Array): Buffer {
  if (content.length >= MIN_KEY_FILE && content.length <= MAX_KEY_FILE) {
    return masterText(createHash('sha256').update(content).digest());
  }
  throw new KeyError('key.size', `a key file has ${MIN_KEY_FILE} to ${MAX_KEY_FILE} bytes, and not ${content.length}`);
}

/**
 * Where a file lies, told so that its device is found again; the file is made, of random bytes, where it is missing.
 * @throws {KeyError} `key.option` for a path that is on no device with a UUID
 */
export async function placeKeyFile(path: string): Promise<{ readonly place: KeyFilePlace; readonly content: Buffer }> {
  const absolute = resolve(path);
  const [isMissing, folder] = [!existsSync(absolute), dirname(absolute)];
  if (!existsSync(folder)) {
    throw new KeyError('key.option', `there is no folder ${folder} for a key file`, {
      advice: 'mount the removable device, and name a file on it',
    });
  }
  // Before the file is made: its secret bytes would be left where they open nothing.
  const found = await findmnt(['--target', isMissing ? folder : absolute]);
  if (found?.uuid === undefined) {
    throw new KeyError('key.option', `${path} lies on no device that has a UUID`, {
      advice: 'name a file on a mounted USB stick; give the stick a file system if it has none',
    });
  }
  if (isMissing) await createFile(absolute, randomBytes(NEW_KEY_FILE));
  const place = { fileSystem: found.uuid, path: relative(found.target, absolute) };
  return { place, content: readKeyFile(absolute) };
}

/**
 * The key file's master key. A device that is plugged in and not mounted is mounted for a moment, read-only.
 * @returns undefined where the device is not there
 * @throws {KeyError} `key.missing` where it is there without the file
 */
export async function removableMaster(protector: ProtectorOf<'usb'>): Promise<Uint8Array | undefined> {
  const { fileSystem } = protector;
  const mounted = await findmnt(['--source', `UUID=${fileSystem}`]);
  if (mounted !== undefined) return keyFileMaster(readBelow(mounted.target, protector));
  if (!(await isPlugged(fileSystem))) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'assay-key-'));
  try {
    await run('mount', ['-o', 'ro,nosuid,nodev,noexec', `UUID=${fileSystem}`, folder]);
    try {
      return keyFileMaster(readBelow(folder, protector));
    } finally {
      await run('umount', [folder]);
    }
  } catch (cause) {
    if (cause instanceof KeyError) throw cause;
    const words = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim().split('\n')[0] : undefined;
    throw new KeyError('key.missing', `the device ${fileSystem} cannot be mounted: ${words ?? String(cause)}`, {
      cause,
    });
  } finally {
    await rmdir(folder);
  }
}

function readBelow(root: string, { path, fileSystem }: ProtectorOf<'usb'>): Buffer {
  const absolute = resolve(root, path);
  if (!absolute.startsWith(`${root === '/' ? '' : root}/`) || !existsSync(absolute)) {
    throw new KeyError('key.missing', `the device ${fileSystem} has no file ${path}`, {
      advice: 'it may be another stick with a copied UUID',
    });
  }
  return readKeyFile(absolute);
}

function openFile(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    throw new KeyError('key.missing', `${path} cannot be read, or is a link`, { cause });
  }
}

/** A device of somebody else's may have a link there, to one that never ends, or a pipe that nobody writes to. */
function readKeyFile(path: string): Buffer {
  const file = openFile(path);
  try {
    if (!fstatSync(file).isFile()) throw new KeyError('key.size', `${path} is no file`);
    const bytes = Buffer.alloc(MAX_KEY_FILE + 1);
    const size = readSync(file, bytes);
    if (size > MAX_KEY_FILE)
      throw new KeyError('key.size', `${path} has more than ${MAX_KEY_FILE} bytes, and is no key file`);
    return bytes.subarray(0, size);
  } finally {
    closeSync(file);
  }
}

async function isPlugged(uuid: string): Promise<boolean> {
  try {
    await run('blkid', ['-c', '/dev/null', '-U', uuid]); // its cache remembers devices that are gone
    return true;
  } catch {
    return false;
  }
}

async function findmnt(
  which: readonly string[],
): Promise<{ readonly target: string; readonly uuid?: string } | undefined> {
  const out = await run('findmnt', ['-n', '-J', '-o', 'TARGET,UUID', ...which]).then(
    ({ stdout }) => stdout,
    () => undefined,
  );
  if (out === undefined || out.trim() === '') return undefined;
  const listed: unknown = JSON.parse(out);
  const [first] = isListed(listed) ? listed.filesystems : [];
  if (first === undefined) return undefined;
  return { target: first.target, ...(typeof first.uuid === 'string' ? { uuid: first.uuid } : {}) };
}

interface Listed {
  readonly filesystems: readonly { readonly target: string; readonly uuid?: string | null }[];
}

const isListed = (value: unknown): value is Listed =>
  typeof value === 'object' && value !== null && 'filesystems' in value && Array.isArray(value.filesystems);
