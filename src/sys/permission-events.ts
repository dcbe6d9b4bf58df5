/**
 * fanotify(7)'s permission events: opens and executions that wait for an answer.
 *
 * Whoever listens holds up what it listens to: a listener that does not answer stops every open on the file system, the
 * shell that would mend it included. The descriptor is shared by all threads of a process and may be handed to another
 * process; when the last one is closed the kernel allows what still waits (fanotify_user.c:fanotify_release).
 */
import { closeFile } from './beneath.ts';
import { callFailed, SysError } from './error.ts';
import { EventBuffer } from './event-buffer.ts';
import {
  changeMark,
  FAN_CLASS_CONTENT,
  FAN_CLOEXEC,
  FAN_MARK_ADD,
  FAN_MARK_EVICTABLE,
  FAN_MARK_FILESYSTEM,
  FAN_MARK_FLUSH,
  FAN_MARK_IGNORED_MASK,
  FAN_MARK_REMOVE,
  FAN_NONBLOCK,
  FAN_OPEN_EXEC_PERM,
  FAN_OPEN_PERM,
  FAN_REPORT_FD_ERROR,
  FAN_REPORT_TID,
  FAN_UNLIMITED_MARKS,
  FAN_UNLIMITED_QUEUE,
  flushFileSystemMarks,
  O_CLOEXEC,
  O_LARGEFILE,
  O_NOATIME,
  O_NONBLOCK,
  openGroup,
  tryMark,
} from './fanotify-group.ts';
import { errno, native } from './native.ts';

const writeCall = native<[number, Uint8Array, number], number>(
  'int64_t write(int fd, const uint8_t *buffer, size_t count)',
);

const FAN_ALLOW = 1;
const FAN_DENY = 2;
const ENOENT = 2;

/** Which events a file system is marked for: executions alone, or every open. */
export type PermissionKind = 'exec' | 'open';

const MASK_OF: Readonly<Record<PermissionKind, number>> = { exec: FAN_OPEN_EXEC_PERM, open: FAN_OPEN_PERM };

const maskOf = (kinds: readonly PermissionKind[]): number => kinds.reduce((mask, kind) => mask | MASK_OF[kind], 0);

/**
 * FAN_UNLIMITED_QUEUE: where the queue is bounded and full, the kernel lets the access pass (fanotify.c:
 * fanotify_handle_event). An unlimited one holds at most one event for each thread of the machine, for each waits.
 */
const GROUP_FLAGS =
  FAN_CLOEXEC | FAN_NONBLOCK | FAN_CLASS_CONTENT | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS | FAN_REPORT_TID;

/**
 * O_NONBLOCK: the kernel opens the file for us, and would otherwise wait for whoever has a lease on it (fcntl(2)), up to
 * 45 seconds for each event, with which any user could hold up the listener.
 */
const EVENT_FLAGS = O_CLOEXEC | O_NOATIME | O_LARGEFILE | O_NONBLOCK;

/** Events are for regular files and folders only; folders are not asked for. */
export class PermissionEvents {
  readonly fd: number;
  /** Overwritten by each {@link read}. */
  readonly events: EventBuffer = new EventBuffer();
  readonly #answer = new Int32Array(2);
  readonly #answerBytes = new Uint8Array(this.#answer.buffer);

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** Needs CAP_SYS_ADMIN, Linux 5.0 and CONFIG_FANOTIFY_ACCESS_PERMISSIONS. @throws {SysError} */
  static open(): PermissionEvents {
    const fd = openGroup(GROUP_FLAGS | FAN_REPORT_FD_ERROR, EVENT_FLAGS) ?? openGroup(GROUP_FLAGS, EVENT_FLAGS);
    if (fd !== undefined) return new PermissionEvents(fd);
    throw new SysError('sys.unavailable', 'this kernel has no permission events of fanotify', {
      advice: 'use Linux 5.0 or newer with CONFIG_FANOTIFY_ACCESS_PERMISSIONS',
    });
  }

  /** For a descriptor that another thread or process opened. */
  static of(fd: number): PermissionEvents {
    return new PermissionEvents(fd);
  }

  /** Every access to the file system that holds `path`, through whichever mount. @throws {SysError} */
  watchFileSystem(path: string | Uint8Array, kinds: readonly PermissionKind[]): void {
    changeMark(this.fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, maskOf(kinds), path);
  }

  /** @throws {SysError} ENOENT where it is not watched */
  unwatchFileSystem(path: string | Uint8Array, kinds: readonly PermissionKind[]): void {
    changeMark(this.fd, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM, maskOf(kinds), path);
  }

  /**
   * The kernel allows these accesses to an open file without asking, until it is written to with write(2) or its inode
   * leaves the kernel's memory. The mark survives chmod, setxattr and writes through a shared mapping.
   * @throws {SysError}
   */
  ignore(file: number, kinds: readonly PermissionKind[]): void {
    const flags = FAN_MARK_ADD | FAN_MARK_IGNORED_MASK;
    const mask = maskOf(kinds);
    if (tryMark(this.fd, flags | FAN_MARK_EVICTABLE, mask, file) !== 0) changeMark(this.fd, flags, mask, file);
  }

  /** Takes back every {@link ignore}. @throws {SysError} */
  ignoreNothing(): void {
    changeMark(this.fd, FAN_MARK_FLUSH, 0, '/');
  }

  /** Takes every mark of every file system away; what waits still wants its answer. @throws {SysError} */
  unwatchAll(): void {
    flushFileSystemMarks(this.fd);
  }

  /**
   * Takes the events that wait; {@link events} has them then. One whose `fd` is negative the kernel has denied already;
   * the others are to be answered, then closed.
   */
  read(): number {
    return this.events.read(this.fd);
  }

  isExec(index: number): boolean {
    return (this.events.mask(index) & FAN_OPEN_EXEC_PERM) !== 0;
  }

  /**
   * Answers the event of this descriptor. To be done before the descriptor is closed: the kernel knows the event by its
   * number alone.
   * @returns false where nobody waits for it
   * @throws {SysError}
   */
  answer(fd: number, isAllowed: boolean): boolean {
    this.#answer[0] = fd;
    this.#answer[1] = isAllowed ? FAN_ALLOW : FAN_DENY;
    if (Number(writeCall(this.fd, this.#answerBytes, this.#answerBytes.length)) > 0) return true;
    const reason = errno();
    if (reason === ENOENT) return false;
    throw callFailed('write', 'fanotify answer', reason);
  }

  close(): void {
    closeFile(this.fd);
  }
}
