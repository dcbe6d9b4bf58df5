/** poll(2) over a fixed set of descriptors, for a thread that may block. No allocation at each call. */
import { native } from './native.ts';

const pollCall = native<[Uint8Array, number, number], number>(
  'int poll(_Inout_ uint8_t *fds, unsigned long count, int timeout)',
);

// poll.h
const POLLIN = 0x1;
const POLLPRI = 0x2;
const POLLERR = 0x8;

/** What is waited for: something to be read, or, of /proc/self/mountinfo, a change. */
export type PollKind = 'readable' | 'changed';

/** struct pollfd: fd s32, events s16, revents s16. */
const SIZE = 8;

export class PollSet {
  readonly #fds: Buffer;
  readonly #count: number;

  /** @param wanted a negative descriptor is never ready */
  constructor(wanted: readonly (readonly [fd: number, kind: PollKind])[]) {
    this.#count = wanted.length;
    this.#fds = Buffer.alloc(SIZE * wanted.length);
    for (const [index, [fd, kind]] of wanted.entries()) {
      this.#fds.writeInt32LE(fd, SIZE * index);
      this.#fds.writeInt16LE(kind === 'readable' ? POLLIN : POLLPRI, SIZE * index + 4);
    }
  }

  /** Blocks this thread for at most `timeout` ms. @returns whether anything is ready; a signal ends the wait too */
  wait(timeout: number): boolean {
    const ready = pollCall(this.#fds, this.#count, timeout);
    if (ready > 0) return true;
    for (let at = 0; at < this.#fds.length; at += SIZE) this.#fds.writeInt16LE(0, at + 6);
    return false;
  }

  /** As of the last {@link wait}: what was waited for has come, or the other end is gone. */
  isReady(index: number): boolean {
    return this.#fds.readInt16LE(SIZE * index + 6) !== 0;
  }

  /** Of `changed`: the kernel says so with POLLERR beside POLLPRI. */
  hasChanged(index: number): boolean {
    return (this.#fds.readInt16LE(SIZE * index + 6) & (POLLPRI | POLLERR)) !== 0;
  }
}
