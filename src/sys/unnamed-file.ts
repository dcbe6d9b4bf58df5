/**
 * Files that have no name until they are whole (O_TMPFILE, linkat): where their maker is killed, nothing is left over.
 */
import { constants, openSync } from 'node:fs';
import { callFailed } from './error.ts';
import { errno, native } from './native.ts';

const linkat = native<[number, Uint8Array, number, Uint8Array, number], number>(
  'int linkat(int olddirfd, const uint8_t *oldpath, int newdirfd, const uint8_t *newpath, int flags)',
);
const syncfs = native<[number], number>('int syncfs(int fd)');

/** linux/fcntl.h. */
const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
/** asm-generic/fcntl.h, the bit beside O_DIRECTORY; Node does not name it. */
const O_TMPFILE_BIT = 0o20000000;

/** What open(2) answers where the file system, or the kernel, has no files without a name. */
const UNSUPPORTED = ['EOPNOTSUPP', 'EISDIR', 'EINVAL'];

/**
 * A descriptor that is read and written, mode 0600; undefined where the file system has no files without a name.
 * @param folder that the file is to get its name in @throws the error of node:fs
 */
export function openUnnamed(folder: string): number | undefined {
  try {
    return openSync(folder, constants.O_RDWR | constants.O_DIRECTORY | O_TMPFILE_BIT, 0o600);
  } catch (error) {
    if (error instanceof Error && 'code' in error && UNSUPPORTED.includes(String(error.code))) return undefined;
    throw error;
  }
}

/** Gives a file of {@link openUnnamed} its name. @throws {SysError} EEXIST where it is taken */
export function nameFile(fd: number, path: Uint8Array | string): void {
  // The link of /proc, for AT_EMPTY_PATH asks for CAP_DAC_READ_SEARCH (open(2), O_TMPFILE)
  const from = Buffer.from(`/proc/self/fd/${fd}\0`);
  const to = Buffer.concat([Buffer.from(path), Buffer.alloc(1)]);
  if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) !== 0) throw callFailed('linkat', shown(to), errno());
}

const shown = (path: Buffer): string => path.toString().slice(0, -1);

/** Returns when all that was written to the file system that holds this file is on its disk. @throws {SysError} */
export function syncFileSystem(fd: number): void {
  if (syncfs(fd) !== 0) throw callFailed('syncfs', `descriptor ${fd}`, errno());
}
