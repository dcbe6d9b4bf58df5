/** Paths that a file from elsewhere names: only what lies beneath the tree, before the kernel is asked (openat2 holds too). */
import { FileProblem } from '../problem.ts';

/** PATH_MAX and NAME_MAX of linux/limits.h, the former without its NUL. */
const MAX_PATH = 4095;
const MAX_NAME = 255;
const SLASH = 0x2f;
const DOT = 0x2e;

/** The tree's root is the empty path. */
export interface TreePath {
  /** No NUL, no slash at either end. */
  readonly bytes: Buffer;
  readonly folder: Buffer;
  readonly name: Buffer;
}

/**
 * Takes `./a`, `a/` and `.` as archives write them. Absolute paths, `..`, empty parts and NULs are refused, not mended: a
 * mended path names a file that the archive's maker did not mean.
 * @throws {FileProblem} `unsafe-path`
 */
export function treePath(given: Uint8Array): TreePath {
  const bytes = stripped(Buffer.from(given));
  if (bytes.length > MAX_PATH || bytes.includes(0)) throw new FileProblem('unsafe-path');
  for (const part of partsOf(bytes)) if (!isSafe(part)) throw new FileProblem('unsafe-path');
  const cut = bytes.lastIndexOf(SLASH);
  return { bytes, folder: bytes.subarray(0, Math.max(cut, 0)), name: bytes.subarray(cut + 1) };
}

function stripped(path: Buffer): Buffer {
  let [from, to] = [0, path.length];
  while (path[from] === DOT && path[from + 1] === SLASH) from += 2;
  while (to > from + 1 && path[to - 1] === SLASH) to -= 1;
  const rest = path.subarray(from, to);
  return rest.length === 1 && rest[0] === DOT ? rest.subarray(1) : rest;
}

function partsOf(path: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  for (let slash = path.indexOf(SLASH); slash >= 0; slash = path.indexOf(SLASH, at)) {
    parts.push(path.subarray(at, slash));
    at = slash + 1;
  }
  return path.length === 0 ? parts : [...parts, path.subarray(at)];
}

function isSafe(part: Buffer): boolean {
  if (part.length === 0 || part.length > MAX_NAME) return false;
  return !(part[0] === DOT && (part.length === 1 || (part.length === 2 && part[1] === DOT)));
}

/** As openBeneath takes it. */
export const withNul = (path: Uint8Array): Buffer =>
  path.length === 0 ? Buffer.from('.\0') : Buffer.concat([path, Buffer.alloc(1)]);
