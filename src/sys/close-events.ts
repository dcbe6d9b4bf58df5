/** fanotify(7)'s news of files that were closed after they had been open for writing. */
import { closeFile } from './beneath.ts';
import { SysError } from './error.ts';
import { EventBuffer } from './event-buffer.ts';
import {
  changeMark,
  FAN_CLOEXEC,
  FAN_CLOSE_WRITE,
  FAN_MARK_ADD,
  FAN_MARK_FILESYSTEM,
  FAN_NONBLOCK,
  flushFileSystemMarks,
  O_CLOEXEC,
  O_LARGEFILE,
  O_NOATIME,
  O_NONBLOCK,
  openGroup,
} from './fanotify-group.ts';

/**
 * The kernel tells of a writer's end before it counts the writer off (file_table.c:__fput), the last of a shared mapping
 * included. So where no writer is counted (`takeReadLease`), whatever was written is told of here already.
 *
 * The queue is bounded, as nobody waits for it to be read: an overflow says that files were written unseen.
 */
export class CloseEvents {
  readonly fd: number;
  /** Overwritten by each {@link read}. */
  readonly events: EventBuffer = new EventBuffer();

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** @throws {SysError} */
  static open(): CloseEvents {
    const fd = openGroup(FAN_CLOEXEC | FAN_NONBLOCK, O_CLOEXEC | O_NOATIME | O_LARGEFILE | O_NONBLOCK);
    if (fd !== undefined) return new CloseEvents(fd);
    throw new SysError('sys.unavailable', 'this kernel has no fanotify', {
      advice: 'use a kernel with CONFIG_FANOTIFY',
    });
  }

  /** For a descriptor that another thread opened. */
  static of(fd: number): CloseEvents {
    return new CloseEvents(fd);
  }

  /** @throws {SysError} */
  watchFileSystem(path: string | Uint8Array): void {
    changeMark(this.fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_CLOSE_WRITE, path);
  }

  /** @throws {SysError} */
  unwatchAll(): void {
    flushFileSystemMarks(this.fd);
  }

  /** Takes the events that wait; each descriptor is the caller's to close. */
  read(): number {
    return this.events.read(this.fd);
  }

  close(): void {
    closeFile(this.fd);
  }
}
