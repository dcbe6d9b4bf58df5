/**
 * Extended attributes (xattr(7)), by path (of the file itself, never of what a symbolic link points to) and by descriptor.
 * Names are text as the kernel has them, in UTF-8; values are copies that the caller owns.
 */
import { constants } from 'node:os';
import { callFailed, SysError } from './error.ts';
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

const fgetxattr = native<[number, string, Buffer, number], number>(
  'int64_t fgetxattr(int fd, const char *name, _Out_ uint8_t *value, size_t size)',
);
const fsetxattr = native<[number, string, Uint8Array, number, number], number>(
  'int fsetxattr(int fd, const char *name, const uint8_t *value, size_t size, int flags)',
);
const flistxattr = native<[number, Buffer, number], number>(
  'int64_t flistxattr(int fd, _Out_ uint8_t *list, size_t size)',
);
const fremovexattr = native<[number, string], number>('int fremovexattr(int fd, const char *name)');

/** XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h. */
export const MAX_XATTR_SIZE = 65536;

/**
 * Most values are labels of less than this; a longer one costs a second call. Not the largest at once: the kernel
 * allocates and clears as much as it is offered, for each call (fs/xattr.c:do_getxattr).
 */
const FIRST_TRY = 512;

/** What the kernel fills, one for the thread: a call a file must not cost an allocation of 64 KiB a file. */
const FILLED = Buffer.allocUnsafeSlow(MAX_XATTR_SIZE);

function show(path: string | Uint8Array): string {
  return typeof path === 'string' ? path : Buffer.from(path).toString();
}

/** C would end the name at a NUL, and so name another attribute. */
function checkName(name: string): void {
  if (name.includes('\0')) {
    throw new SysError('sys.call-failed', 'the name of an attribute cannot hold a NUL byte', { errno: 'EINVAL' });
  }
}

/** Asks with a small buffer, and once more with the largest that the kernel can fill (the value may grow between two calls). */
function readSized(call: (size: number) => number): Buffer | number {
  for (const size of [FIRST_TRY, MAX_XATTR_SIZE]) {
    const length = call(size);
    if (length >= 0) return Buffer.from(FILLED.subarray(0, length));
    if (errno() !== constants.errno.ERANGE) break;
  }
  return errno();
}

function valueOrNone(value: Buffer | number, call: string, subject: () => string): Buffer | undefined {
  if (typeof value !== 'number') return value;
  if (value === constants.errno.ENODATA) return undefined;
  throw callFailed(call, subject(), value);
}

function namesOf(list: Buffer | number, call: string, subject: () => string): string[] {
  if (typeof list === 'number') throw callFailed(call, subject(), list);
  return list
    .toString()
    .split('\0')
    .filter((name) => name !== '');
}

/**
 * The attribute's value; undefined where the file has none of that name.
 * @throws {SysError} for every other refusal (ENOENT, EOPNOTSUPP, …)
 */
export function getXattr(path: string | Uint8Array, name: string): Buffer | undefined {
  checkName(name);
  const file = cPath(path);
  const value = readSized((size) => lgetxattr(file, name, FILLED, size));
  return valueOrNone(value, 'lgetxattr', () => `${show(path)} ${name}`);
}

/** Creates or replaces the attribute. @throws {SysError} */
export function setXattr(path: string | Uint8Array, name: string, value: Uint8Array): void {
  checkName(name);
  if (lsetxattr(cPath(path), name, value, value.length, 0) !== 0) {
    throw callFailed('lsetxattr', `${show(path)} ${name}`, errno());
  }
}

/** True where it was there. @throws {SysError} */
export function removeXattr(path: string | Uint8Array, name: string): boolean {
  checkName(name);
  if (lremovexattr(cPath(path), name) === 0) return true;
  if (errno() === constants.errno.ENODATA) return false;
  throw callFailed('lremovexattr', `${show(path)} ${name}`, errno());
}

/** The names of all attributes that this user may see. @throws {SysError} */
export function listXattrs(path: string | Uint8Array): string[] {
  const file = cPath(path);
  const list = readSized((size) => llistxattr(file, FILLED, size));
  return namesOf(list, 'llistxattr', () => show(path));
}

/** As {@link getXattr}, of an open file. @throws {SysError} */
export function fgetXattr(fd: number, name: string): Buffer | undefined {
  checkName(name);
  const value = readSized((size) => fgetxattr(fd, name, FILLED, size));
  return valueOrNone(value, 'fgetxattr', () => `descriptor ${fd} ${name}`);
}

/** As {@link setXattr}, of an open file (opened for reading is enough). @throws {SysError} */
export function fsetXattr(fd: number, name: string, value: Uint8Array): void {
  checkName(name);
  if (fsetxattr(fd, name, value, value.length, 0) !== 0) {
    throw callFailed('fsetxattr', `descriptor ${fd} ${name}`, errno());
  }
}

/** As {@link removeXattr}, of an open file. @throws {SysError} */
export function fremoveXattr(fd: number, name: string): boolean {
  checkName(name);
  if (fremovexattr(fd, name) === 0) return true;
  if (errno() === constants.errno.ENODATA) return false;
  throw callFailed('fremovexattr', `descriptor ${fd} ${name}`, errno());
}

/** As {@link listXattrs}, of an open file. @throws {SysError} */
export function flistXattrs(fd: number): string[] {
  const list = readSized((size) => flistxattr(fd, FILLED, size));
  return namesOf(list, 'flistxattr', () => `descriptor ${fd}`);
}
