/**
 * Files of /proc/PID, read into memory that is there already: for one who reads them for every access and may not wait. A
 * thread's number is as good as its process's: /proc has a folder for each, though it lists only processes (proc(5)).
 */
import { FileStatus } from './beneath.ts';
import { native } from './native.ts';

const openCall = native<[Uint8Array, number], number>('int open(const uint8_t *path, int flags)');
const readCall = native<[number, Uint8Array, number], number>(
  'int64_t read(int fd, _Out_ uint8_t *buffer, size_t count)',
);
const closeCall = native<[number], number>('int close(int fd)');
const statxCall = native<[number, Uint8Array, number, number, Uint8Array], number>(
  'int statx(int dirfd, const uint8_t *path, int flags, uint32_t mask, _Out_ uint8_t *buffer)',
);

const O_RDONLY_CLOEXEC = 0o2000000;
const AT_FDCWD = -100;
const STATX_BASIC = 0x07ff;
/** A page: what /proc gives at one read. */
const SIZE = 4096;

export class ProcFile {
  readonly #path = Buffer.alloc(64);
  readonly #buffer = Buffer.alloc(SIZE);
  readonly #status = new FileStatus();

  /**
   * The beginning of /proc/`id`/`name`, at most a page; overwritten by the next call.
   * @returns undefined where there is no such thread, or it may not be looked at
   */
  read(id: number, name: string): Buffer | undefined {
    const fd = openCall(this.#pathOf(id, name), O_RDONLY_CLOEXEC);
    if (fd < 0) return undefined;
    const length = Number(readCall(fd, this.#buffer, this.#buffer.length));
    closeCall(fd);
    return length < 0 ? undefined : this.#buffer.subarray(0, length);
  }

  /** What /proc/`id`/`name` leads to; undefined where it leads nowhere. Overwritten by the next call. */
  status(id: number, name: string): FileStatus | undefined {
    const result = statxCall(AT_FDCWD, this.#pathOf(id, name), 0, STATX_BASIC, this.#status.bytes);
    return result === 0 ? this.#status : undefined;
  }

  #pathOf(id: number, name: string): Buffer {
    const length = this.#path.write(`/proc/${id}/${name}`, 'latin1');
    this.#path[length] = 0;
    return this.#path;
  }
}
