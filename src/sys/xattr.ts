/** Extended attributes of the file itself, never of what a symbolic link points to (xattr(7)). */
import { constants } from 'node:os';
import { callFailed } from './error.ts';
import { cPath, errno, native } from './native.ts';

const lgetxattr = native<[Buffer, string, Buffer, number], number>(
  'int64_t lgetxattr(const uint8_t *path, const char *name, _Out_ uint8_t *value, size_t size)',
);
const lsetxattr = native<[Buffer, string, Uint8Array, number, number], number>(
  'int lsetxattr(const uint8_t *path, const char *name, const uint8_t *value, size_t size, int flags)',
);
const llistxattr = native<[Buffer, Buffer, number], number>(
  'int64_t llistxattr(const uint8_t *path, _Out_ uint8_t *list, size_t size)',
);
const lremovexattr = native<[Buffer, string], number>('int lremovexattr(const uint8_t *path, const char *name)');

/** XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h. */
const MAX_SIZE = 65536;

/** Most values are labels of less than this; a longer one costs a second call. */
const FIRST_TRY = 512;

function show(path: string | Uint8Array): string {
  return typeof path === 'string' ? path : Buffer.from(path).toString();
}

/** Calls with a small buffer, and once more with the largest that the kernel can fill (the value may grow between two calls). */
function readSized(call: (buffer: Buffer) => number): Buffer | number {
  for (const size of [FIRST_TRY, MAX_SIZE]) {
    const buffer = Buffer.alloc(size);
    const length = call(buffer);
    if (length >= 0) return buffer.subarray(0, length);
    if (errno() !== constants.errno.ERANGE) break;
  }
  return errno();
}

/**
 * The attribute's value; undefined where the file has none of that name.
 * @throws {SysError} for every other refusal (ENOENT, EOPNOTSUPP, …)
 */
export function getXattr(path: string | Uint8Array, name: string): Buffer | undefined {
  const file = cPath(path);
  const value = readSized((buffer) => lgetxattr(file, name, buffer, buffer.length));
  if (typeof value !== 'number') return value;
  if (value === constants.errno.ENODATA) return undefined;
  throw callFailed('lgetxattr', `${show(path)} ${name}`, value);
}

/** Creates or replaces the attribute. @throws {SysError} */
export function setXattr(path: string | Uint8Array, name: string, value: Uint8Array): void {
  if (lsetxattr(cPath(path), name, value, value.length, 0) !== 0) {
    throw callFailed('lsetxattr', `${show(path)} ${name}`, errno());
  }
}

/** True where it was there. @throws {SysError} */
export function removeXattr(path: string | Uint8Array, name: string): boolean {
  if (lremovexattr(cPath(path), name) === 0) return true;
  if (errno() === constants.errno.ENODATA) return false;
  throw callFailed('lremovexattr', `${show(path)} ${name}`, errno());
}

/** The names of all attributes that this user may see. @throws {SysError} */
export function listXattrs(path: string | Uint8Array): string[] {
  const file = cPath(path);
  const list = readSized((buffer) => llistxattr(file, buffer, buffer.length));
  if (typeof list === 'number') throw callFailed('llistxattr', show(path), list);
  return list
    .toString('latin1')
    .split('\0')
    .filter((name) => name !== '');
}
