/** Writes an export: to standard output, or to a file that appears under its name when it is whole. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { nameFile, openUnnamed } from '../../sys/index.ts';

const BUFFER_SIZE = 1 << 20;
const WAIT = new Int32Array(new SharedArrayBuffer(4));
const STDOUT = 1;

export class Output {
  readonly #path: string;
  readonly #aside: string | undefined;
  readonly #fd: number;
  /** The file has its name aside only while it is put in its place: who is killed before leaves nothing. */
  readonly #isUnnamed: boolean = false;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_SIZE);
  #filled = 0;

  /** @param path a file that is replaced, a FIFO or device that is written to, or `-` @throws the error of node:fs */
  constructor(path: string) {
    this.#path = path === '-' || !existsSync(path) ? path : realpathSync(path);
    // Nothing but a regular file is replaced: /dev/null is to stay what it is.
    const isStream = path === '-' || (existsSync(path) && !statSync(path).isFile());
    this.#aside = isStream ? undefined : `${this.#path}.${randomBytes(8).toString('hex')}.new`;
    // Labels and digests of a tree tell who reads them what is in it: a new file is this user's alone.
    if (this.#aside !== undefined) {
      const unnamed = openUnnamed(dirname(this.#path));
      this.#isUnnamed = unnamed !== undefined;
      this.#fd = unnamed ?? openSync(this.#aside, 'wx', 0o600);
    } else this.#fd = path === '-' ? STDOUT : openSync(path, 'w');
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + this.#buffer.length - this.#filled);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === this.#buffer.length) this.#flush();
    }
  }

  #flush(): void {
    for (let at = 0; at < this.#filled; ) at += this.#writeSome(at);
    this.#filled = 0;
  }

  #writeSome(at: number): number {
    try {
      return writeSync(this.#fd, this.#buffer, at, this.#filled - at);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error;
      // A pipe that is full for now and does not wait by itself.
      if (error.code !== 'EAGAIN') throw Object.assign(error, { path: this.#path });
      Atomics.wait(WAIT, 0, 0, 5);
      return 0;
    }
  }

  /** The whole export is written. */
  finish(): void {
    this.#flush();
    if (this.#aside === undefined) return;
    fsyncSync(this.#fd);
    if (this.#isUnnamed) nameFile(this.#fd, this.#aside);
    renameSync(this.#aside, this.#path);
    syncFolder(dirname(this.#path));
  }

  /** After {@link finish}, or instead of it: what was begun goes. */
  close(): void {
    if (this.#fd !== STDOUT) closeSync(this.#fd);
    if (this.#aside !== undefined) rmSync(this.#aside, { force: true });
  }
}

/** A rename is on the disk when its folder is (fsync(2)). */
function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
