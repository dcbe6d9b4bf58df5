/** fanotify(7) as the kernel has it: the calls, and the numbers of linux/fanotify.h that more than one listener needs. */
import { callFailed } from './error.ts';
import { cPath, errno, native } from './native.ts';

const fanotifyInit = native<[number, number], number>(
  'int fanotify_init(unsigned int flags, unsigned int event_flags)',
);
const fanotifyMark = native<[number, number, bigint, number, Uint8Array | null], number>(
  'int fanotify_mark(int fd, unsigned int flags, uint64_t mask, int dirfd, const uint8_t *path)',
);

export const FAN_CLOEXEC = 0x1;
export const FAN_NONBLOCK = 0x2;
export const FAN_CLASS_CONTENT = 0x4;
export const FAN_UNLIMITED_QUEUE = 0x10;
export const FAN_UNLIMITED_MARKS = 0x20;
/** The thread and not its process (since 4.20). */
export const FAN_REPORT_TID = 0x100;
/** An event whose file cannot be opened comes with the error in place of a descriptor (since 6.13). */
export const FAN_REPORT_FD_ERROR = 0x2000;

export const FAN_CLOSE_WRITE = 0x8;
export const FAN_OPEN_EXEC = 0x1000;
export const FAN_Q_OVERFLOW = 0x4000;
export const FAN_OPEN_PERM = 0x10000;
export const FAN_OPEN_EXEC_PERM = 0x40000;

export const FAN_MARK_ADD = 0x1;
export const FAN_MARK_REMOVE = 0x2;
export const FAN_MARK_IGNORED_MASK = 0x20;
export const FAN_MARK_FLUSH = 0x80;
export const FAN_MARK_FILESYSTEM = 0x100;
/** The mark does not keep its inode in memory (since 5.19). */
export const FAN_MARK_EVICTABLE = 0x200;

export const METADATA_VERSION = 3;
/** struct fanotify_event_metadata: event_len u32, vers u8, reserved u8, metadata_len u16, mask u64, fd s32, pid s32. */
export const METADATA_SIZE = 24;

// asm-generic/fcntl.h; O_LARGEFILE differs on arm64. Without it a program over 2 GB gives EOVERFLOW in place of an event.
export const O_CLOEXEC = 0x80000;
export const O_NOATIME = 0x40000;
export const O_LARGEFILE = process.arch === 'arm64' ? 0x20000 : 0x8000;
export const O_NONBLOCK = 0x800;
const AT_FDCWD = -100;

/** @returns the group's descriptor, or undefined where the kernel does not know a flag @throws {SysError} */
export function openGroup(flags: number, eventFlags: number): number | undefined {
  const fd = fanotifyInit(flags, eventFlags);
  if (fd >= 0) return fd;
  const reason = errno();
  if (reason === EINVAL) return undefined;
  throw callFailed('fanotify_init', '', reason);
}

const EINVAL = 22;

/**
 * @param target a path, whose last link is followed, or an open file
 * @throws {SysError}
 */
export function changeMark(group: number, flags: number, mask: number, target: string | Uint8Array | number): void {
  const failed = tryMark(group, flags, mask, target);
  if (failed === 0) return;
  const subject = typeof target === 'number' ? `descriptor ${target}` : Buffer.from(target).toString();
  throw callFailed('fanotify_mark', subject, failed);
}

/** @returns 0, or errno */
export function tryMark(group: number, flags: number, mask: number, target: string | Uint8Array | number): number {
  const isOpen = typeof target === 'number';
  const path = isOpen ? null : cPath(target);
  return fanotifyMark(group, flags, BigInt(mask), isOpen ? target : AT_FDCWD, path) === 0 ? 0 : errno();
}

/** Takes every mark of every file system away. @throws {SysError} */
export function flushFileSystemMarks(group: number): void {
  changeMark(group, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, '/');
}
