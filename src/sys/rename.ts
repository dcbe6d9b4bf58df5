/** renameat2(2), for what rename(2) cannot: two names that change places at once, and a name that must be free. */
import { callFailed } from './error.ts';
import { cPath, errno, native } from './native.ts';

/** The C library has it since glibc 2.28 and musl 1.2.5; its number: asm/unistd_64.h, asm-generic/unistd.h. */
const NUMBER = process.arch === 'x64' ? 316 : 276;
const AT_FDCWD = -100;
/** linux/fs.h */
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;

const renameCall = native<[number, number, Uint8Array, number, Uint8Array, number], number>(
  'long syscall(long number, long from_folder, const uint8_t *from, long to_folder, const uint8_t *to, long flags)',
);

/**
 * Exchanges two files or folders; whoever looks finds one or the other under each name.
 * @throws {SysError} EINVAL where the file system cannot, ENOENT where one is missing
 */
export function exchangeNames(one: string, other: string): void {
  call(one, other, RENAME_EXCHANGE);
}

/** As rename(2), and refuses where `to` is there. @throws {SysError} EEXIST; EINVAL where the file system cannot */
export function renameToNew(from: string, to: string): void {
  call(from, to, RENAME_NOREPLACE);
}

function call(from: string, to: string, flags: number): void {
  if (Number(renameCall(NUMBER, AT_FDCWD, cPath(from), AT_FDCWD, cPath(to), flags)) === 0) return;
  throw callFailed('renameat2', `${from}, ${to}`, errno());
}
