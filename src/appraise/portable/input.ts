/** Reads a file or a pipe in order, bounded. */
import { readSync } from 'node:fs';
import { ParseError } from '../../bytes/index.ts';
import { type Line, MAX_LINE } from './record.ts';

const BUFFER_SIZE = 1 << 20;
const NEWLINE = 0x0a;
const WAIT = new Int32Array(new SharedArrayBuffer(4));

export class Input {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_SIZE);
  #from = 0;
  #to = 0;
  #passed = 0;
  #ended = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Of the next byte. */
  get offset(): number {
    return this.#passed + this.#from;
  }

  /** A view of what comes next, `count` bytes or, at the end, fewer; valid until the next call. @param count at most 1 MiB */
  peek(count: number): Buffer {
    while (this.#to - this.#from < count && !this.#ended) this.#fill();
    return this.#buffer.subarray(this.#from, Math.min(this.#to, this.#from + count));
  }

  /** As {@link peek}, and goes on. */
  take(count: number): Buffer {
    const bytes = this.peek(count);
    this.#from += bytes.length;
    return bytes;
  }

  /** What is at hand, at least one byte but at the end. @param limit more than 0 */
  some(limit: number): Buffer {
    this.peek(1);
    return this.take(Math.min(limit, this.#to - this.#from));
  }

  /** The next line without its end; undefined at the end of the input. @throws {ParseError} where it is too long, or not ended */
  line(number: number): Line | undefined {
    const offset = this.offset;
    for (let seen = 0; ; ) {
      const end = this.#buffer.subarray(this.#from, this.#to).indexOf(NEWLINE, seen);
      if (end >= 0 && end <= MAX_LINE) {
        const text = this.take(end + 1).toString('utf8', 0, end);
        return { text, number, offset };
      }
      seen = this.#to - this.#from;
      if (seen > MAX_LINE) throw lineError('parse.too-large', number, offset, `is longer than ${MAX_LINE} bytes`);
      if (this.#ended && seen === 0) return undefined;
      if (this.#ended) throw lineError('parse.truncated', number, offset, 'has no end: the file is cut short');
      this.#fill();
    }
  }

  #fill(): void {
    if (this.#from > 0) {
      this.#buffer.copy(this.#buffer, 0, this.#from, this.#to);
      this.#passed += this.#from;
      this.#to -= this.#from;
      this.#from = 0;
    }
    const count = readAvailable(this.#fd, this.#buffer, this.#to);
    this.#to += count;
    if (count === 0) this.#ended = true;
  }
}

function lineError(code: 'parse.too-large' | 'parse.truncated', number: number, offset: number, detail: string) {
  return new ParseError(code, `manifest line ${number}`, offset, detail);
}

function readAvailable(fd: number, buffer: Uint8Array, at: number): number {
  for (;;) {
    try {
      return readSync(fd, buffer, at, buffer.length - at, null);
    } catch (error) {
      // A pipe that is empty for now and does not wait by itself.
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      Atomics.wait(WAIT, 0, 0, 5);
    }
  }
}
