/** pipe2(2), for threads and processes that wait in poll(2). */
import { closeFile } from './beneath.ts';
import { callFailed } from './error.ts';
import { errno, native } from './native.ts';

const pipe2 = native<[Int32Array, number], number>('int pipe2(_Out_ int *fds, int flags)');
const writeCall = native<[number, Uint8Array, number], number>(
  'int64_t write(int fd, const uint8_t *buffer, size_t count)',
);
const readCall = native<[number, Uint8Array, number], number>(
  'int64_t read(int fd, _Out_ uint8_t *buffer, size_t count)',
);

const O_NONBLOCK_CLOEXEC = 0x800 | 0x80000;

/** Both ends are closed in whatever is executed, and neither waits. @throws {SysError} */
export function openPipe(): { readonly read: number; readonly write: number } {
  const ends = new Int32Array(2);
  if (pipe2(ends, O_NONBLOCK_CLOEXEC) !== 0) throw callFailed('pipe2', '', errno());
  return { read: ends[0] ?? -1, write: ends[1] ?? -1 };
}

/** Writes bytes into a pipe; what does not fit is lost. No allocation. */
export function tellPipe(end: number, bytes: Uint8Array): void {
  writeCall(end, bytes, bytes.length);
}

/** Takes what is in a pipe, at most the size of `into`. @returns bytes; 0 where the other end is closed; -1 where none wait */
export function hearPipe(end: number, into: Uint8Array): number {
  return Number(readCall(end, into, into.length));
}

export const closePipeEnd = (end: number): void => closeFile(end);
