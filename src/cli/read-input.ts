/** Reads what a command names: a file, or standard input for `-`. */
import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK_SIZE = 1 << 20;

/** A descriptor for `path`, for one who reads it over many turns of the event loop. */
export function openInput(path: string): { readonly fd: number; close(): void } {
  if (path === '-') return { fd: 0, close: () => undefined };
  const fd = openSync(path, 'r');
  return { fd, close: () => closeSync(fd) };
}

/** Calls `use` with an open descriptor for `path`. */
export function withInput<Result>(path: string, use: (fd: number) => Result): Result {
  if (path === '-') return use(0);
  const fd = openSync(path, 'r');
  try {
    return use(fd);
  } catch (error) {
    // Reading a folder fails at the first read, whose error does not say which.
    if (error instanceof Error && 'syscall' in error && !('path' in error)) Object.assign(error, { path });
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Fills `buffer` from `at` on as far as the input goes, and waits for a pipe that has nothing yet. Returns the bytes read. */
export function readFully(fd: number, buffer: Uint8Array, at = 0): number {
  let filled = at;
  while (filled < buffer.length) {
    const count = readAvailable(fd, buffer, filled);
    if (count === 0) break;
    filled += count;
  }
  return filled - at;
}

function readAvailable(fd: number, buffer: Uint8Array, at: number): number {
  for (;;) {
    try {
      return readSync(fd, buffer, at, buffer.length - at, null);
    } catch (error) {
      // A non-blocking pipe that is empty for now: sleep, so that waiting costs nothing.
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** The input in chunks; the buffer is used again for each, so that who takes one keeps nothing of it. */
export function* chunksOf(fd: number): Generator<Buffer> {
  const chunk = Buffer.allocUnsafe(CHUNK_SIZE);
  for (;;) {
    const count = readFully(fd, chunk);
    if (count > 0) yield chunk.subarray(0, count);
    if (count < chunk.length) return;
  }
}

/** The whole input, at most `limit` bytes of it (one more is returned where there is more, for the caller to refuse). */
export function readInput(path: string, limit: number): Buffer {
  return withInput(path, (fd) => {
    const chunks: Buffer[] = [];
    let total = 0;
    while (total <= limit) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_SIZE, limit + 1 - total));
      const count = readFully(fd, chunk);
      chunks.push(chunk.subarray(0, count));
      total += count;
      if (count < chunk.length) break;
    }
    return Buffer.concat(chunks, total);
  });
}
