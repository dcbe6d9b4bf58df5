/** What one read of a fanotify descriptor gave, looked at without an object for each event. */
import { ParseError } from '../bytes/index.ts';
import { callFailed, errnoName } from './error.ts';
import { FAN_Q_OVERFLOW, METADATA_SIZE, METADATA_VERSION } from './fanotify-group.ts';
import { errno, native } from './native.ts';

const readCall = native<[number, Uint8Array, number], number>(
  'int64_t read(int fd, _Out_ uint8_t *buffer, size_t count)',
);

/** Each event that is read opens a file: this bounds how many one read opens. */
export const EVENTS_A_READ = 64;

const WORDS = METADATA_SIZE / 4;
const MASK = 2;
const FD = 4;
const ID = 5;

/** The same memory is filled by each read. One for each descriptor that is read. */
export class EventBuffer {
  readonly #words = new Int32Array(EVENTS_A_READ * WORDS);
  readonly #bytes = new Uint8Array(this.#words.buffer);

  /**
   * Reads what waits, at most {@link EVENTS_A_READ} events.
   * @returns their number; 0 where none waits, or where the file of the only one could not be opened: a permission event
   *   is then denied by the kernel (fanotify_user.c:fanotify_read)
   * @throws {ParseError} for bytes that no kernel with this ABI writes @throws {SysError} for a descriptor that is none
   */
  read(group: number): number {
    const length = Number(readCall(group, this.#bytes, this.#bytes.length));
    if (length < 0) {
      const reason = errno();
      const name = errnoName(reason);
      if (name === 'EBADF' || name === 'EINVAL' || name === 'EFAULT') throw callFailed('read', 'fanotify', reason);
      return 0;
    }
    this.#check(length);
    return length / METADATA_SIZE;
  }

  /** No group here asks for information records, so that all events have one size. */
  #check(length: number): void {
    if (length % METADATA_SIZE !== 0) {
      throw new ParseError('parse.truncated', 'fanotify event', 0, `${length} bytes are no number of events of 24`);
    }
    for (let at = 0; at < length / 4; at += WORDS) {
      const version = (this.#words[at + 1] ?? 0) & 0xff;
      if (this.#words[at] === METADATA_SIZE && version === METADATA_VERSION) continue;
      throw new ParseError('parse.invalid', 'fanotify event', at * 4, `length ${this.#words[at]}, version ${version}`);
    }
  }

  /** The lower half of the mask holds every event that is known here. */
  mask(index: number): number {
    return this.#words[index * WORDS + MASK] ?? 0;
  }

  /** Negative where the file could not be opened. */
  fd(index: number): number {
    return this.#words[index * WORDS + FD] ?? -1;
  }

  /** Of the process, or of the thread where the group asks for that; 0 for one that is not of this pid namespace. */
  id(index: number): number {
    return this.#words[index * WORDS + ID] ?? 0;
  }

  isOverflow(index: number): boolean {
    return (this.mask(index) & FAN_Q_OVERFLOW) !== 0;
  }
}
