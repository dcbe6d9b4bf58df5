/**
 * fanotify(7): what the kernel tells about executions on whole file systems.
 *
 * Only notification (FAN_CLASS_NOTIF) is here, no permission events: a measurer must never hold up the machine. A
 * listener of permission events that stalls (stopped, swapped out, in a debugger) stops every exec on the machine, the
 * shell that would mend it included. The price is a race: the program may run before it is hashed. The event holds the
 * file itself, so unlinking or renaming it does not escape, and the kernel refuses writes to a running ELF (ETXTBSY);
 * what does escape is a script, or a program that has ended already, that is rewritten in place within that moment.
 */
import { closeSync, readSync } from 'node:fs';
import { ParseError } from '../bytes/index.ts';
import { SysError } from './error.ts';
import {
  changeMark,
  FAN_CLOEXEC,
  FAN_MARK_ADD,
  FAN_MARK_FILESYSTEM,
  FAN_NONBLOCK,
  FAN_OPEN_EXEC,
  FAN_Q_OVERFLOW,
  METADATA_SIZE,
  METADATA_VERSION,
  O_CLOEXEC,
  O_LARGEFILE,
  O_NOATIME,
  openGroup,
} from './fanotify-group.ts';
import { PollSet } from './poll.ts';

const FAN_NOFD = -1;

/** Each event that is read opens a file, so this also bounds how many are open at once (170). */
const READ_SIZE = 4096;

export type FanotifyEvent =
  /** `fd` is open for reading and the receiver's to close. */
  | { readonly kind: 'exec'; readonly fd: number; readonly pid: number }
  /** The kernel's queue was full: executions went unseen. */
  | { readonly kind: 'overflow' };

/**
 * Decodes what one read of a fanotify descriptor gave.
 * Kernel: include/uapi/linux/fanotify.h, struct fanotify_event_metadata.
 * @throws {ParseError} for bytes that no kernel with this ABI writes
 */
export function parseFanotifyEvents(bytes: Buffer): FanotifyEvent[] {
  const events: FanotifyEvent[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < METADATA_SIZE) {
      throw new ParseError('parse.truncated', 'fanotify event', at, `${bytes.length - at} bytes, 24 are the least`);
    }
    const length = bytes.readUInt32LE(at);
    const version = bytes.readUInt8(at + 4);
    if (version !== METADATA_VERSION) {
      throw new ParseError('parse.unknown-value', 'fanotify event version', at + 4, `${version}, only 3 is known`);
    }
    if (length < METADATA_SIZE || length > bytes.length - at) {
      throw new ParseError('parse.invalid', 'fanotify event length', at, `${length}`);
    }
    const event = decode(bytes, at);
    if (event !== undefined) events.push(event);
    at += length;
  }
  return events;
}

/** event_len u32, vers u8, reserved u8, metadata_len u16, mask u64, fd s32, pid s32: in the machine's order, little on x64 and arm64. */
function decode(bytes: Buffer, at: number): FanotifyEvent | undefined {
  const mask = bytes.readBigUInt64LE(at + 8);
  const fd = bytes.readInt32LE(at + 16);
  if ((mask & BigInt(FAN_Q_OVERFLOW)) !== 0n) return { kind: 'overflow' };
  return fd === FAN_NOFD ? undefined : { kind: 'exec', fd, pid: bytes.readInt32LE(at + 20) };
}

export interface Wakeup {
  readonly events: boolean;
  /** The descriptor given as `alsoChanged` reported a change (for /proc/self/mountinfo: a mount or unmount). */
  readonly changed: boolean;
}

/** Hears of every execution on the file systems that it is told to watch. Needs CAP_SYS_ADMIN and Linux 5.0. */
export class ExecWatch {
  readonly #fd: number;

  /** @throws {SysError} where koffi does not load, or the kernel refuses (not root, no CONFIG_FANOTIFY) */
  constructor() {
    const fd = openGroup(FAN_CLOEXEC | FAN_NONBLOCK, O_CLOEXEC | O_NOATIME | O_LARGEFILE);
    if (fd === undefined) throw new SysError('sys.call-failed', 'fanotify_init: EINVAL', { errno: 'EINVAL' });
    this.#fd = fd;
  }

  /** Watches the whole file system that holds `path`, all its mounts included. @throws {SysError} */
  watchFileSystem(path: string | Uint8Array): void {
    changeMark(this.#fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN_EXEC, path);
  }

  /** Blocks this thread for at most `timeout` ms: for a Worker. */
  wait(timeout: number, alsoChanged?: number): Wakeup {
    const set = new PollSet([
      [this.#fd, 'readable'],
      [alsoChanged ?? -1, 'changed'],
    ]);
    if (!set.wait(timeout)) return { events: false, changed: false };
    return { events: set.isReady(0), changed: set.hasChanged(1) };
  }

  /** What is waiting, at most 170 events; none where nothing is. */
  read(): FanotifyEvent[] {
    const buffer = Buffer.alloc(READ_SIZE);
    try {
      return parseFanotifyEvents(buffer.subarray(0, readSync(this.#fd, buffer)));
    } catch (error) {
      const errno = isErrno(error) ? error.code : undefined;
      if (errno === 'EAGAIN' || errno === 'EINTR') return [];
      if (errno === undefined || errno === 'EBADF' || errno === 'EINVAL') throw error;
      // The kernel could not open the first event's file for us (fanotify_user.c:copy_event_to_user) and dropped it.
      return [{ kind: 'overflow' }];
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function isErrno(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'errno' in error;
}
