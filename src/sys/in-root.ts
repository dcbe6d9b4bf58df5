/**
 * Paths in a system that is not running, as it will resolve them itself when it does: a link in it leads to what it has
 * there, and never out of its root (openat2(2), RESOLVE_IN_ROOT). So an image that somebody else made cannot have the host
 * written to.
 */
import { closeSync, constants, openSync, readlinkSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { closeFile, openInRoot } from './beneath.ts';
import { SysError } from './error.ts';

/**
 * Where a path of the system lies for us. Names at its end may be missing; what is returned then has them, for the caller
 * to make, and no link is in what is there.
 * @param root a folder @param path within it, with `/` before it or without
 * @throws {SysError} for a link that leads to nothing, in a circle, or into a magic link; `sys.unavailable`, or
 *   `sys.call-failed` with ENOSYS, without openat2; the error of node:fs for a root that cannot be opened
 */
export function pathInRoot(root: string, path: string): string {
  const inside = normalize(`/${path}`);
  if (root === '/') return inside; // as the running system resolves it anyway
  const fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return resolveIn({ fd, name: root }, inside);
  } finally {
    closeSync(fd);
  }
}

interface Root {
  readonly fd: number;
  readonly name: string;
}

function resolveIn(root: Root, path: string): string {
  const found = realPath(root.fd, path);
  if (found !== undefined) return found;
  if (isThere(root.fd, path)) {
    throw new SysError('sys.call-failed', `${path} in the root ${root.name} is a link that leads to nothing there`, {
      errno: 'ENOENT',
      advice: 'mount what it leads to, or remove it',
    });
  }
  return join(resolveIn(root, dirname(path)), path.slice(path.lastIndexOf('/')));
}

function realPath(root: number, path: string): string | undefined {
  const fd = openIfThere(root, path, true);
  if (fd === undefined) return undefined;
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } finally {
    closeFile(fd);
  }
}

/** The name itself, a link or not. */
function isThere(root: number, path: string): boolean {
  const fd = openIfThere(root, path, false);
  if (fd !== undefined) closeFile(fd);
  return fd !== undefined;
}

function openIfThere(root: number, path: string, follow: boolean): number | undefined {
  try {
    return openInRoot(root, path, follow);
  } catch (error) {
    if (error instanceof SysError && error.errno === 'ENOENT') return undefined;
    throw error;
  }
}
