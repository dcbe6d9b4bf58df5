/** eventfd(2): wakes a thread that waits in poll(2). The descriptor is the same in every thread of the process. */
import { closeFile } from './beneath.ts';
import { callFailed } from './error.ts';
import { errno, native } from './native.ts';

const eventfd = native<[number, number], number>('int eventfd(unsigned int initial, int flags)');
const writeCall = native<[number, Uint8Array, number], number>(
  'int64_t write(int fd, const uint8_t *buffer, size_t count)',
);
const readCall = native<[number, Uint8Array, number], number>(
  'int64_t read(int fd, _Out_ uint8_t *buffer, size_t count)',
);

const EFD_NONBLOCK_CLOEXEC = 0x800 | 0x80000;
const ONE = Buffer.of(1, 0, 0, 0, 0, 0, 0, 0);

export class Waker {
  readonly fd: number;
  readonly #count = Buffer.alloc(8);

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** @throws {SysError} */
  static open(): Waker {
    const fd = eventfd(0, EFD_NONBLOCK_CLOEXEC);
    if (fd < 0) throw callFailed('eventfd', '', errno());
    return new Waker(fd);
  }

  /** For a descriptor that another thread opened. */
  static of(fd: number): Waker {
    return new Waker(fd);
  }

  wake(): void {
    writeCall(this.fd, ONE, ONE.length);
  }

  /** Until the next {@link wake} the descriptor is not readable. */
  clear(): void {
    readCall(this.fd, this.#count, this.#count.length);
  }

  close(): void {
    closeFile(this.fd);
  }
}
