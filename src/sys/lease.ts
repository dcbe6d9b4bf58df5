/**
 * Read leases (fcntl(2), F_SETLEASE). One is given only where nobody has the file open for writing, a shared mapping that
 * can be written included, and as long as it is held nobody gets it so: their open waits until the lease is given up, at
 * most for /proc/sys/fs/lease-break-time (45 s). It belongs to the open file and ends with its last descriptor.
 *
 * On overlayfs a shared mapping counts as a writer of the file underneath alone (fs/backing-file.c:backing_file_mmap), so
 * that a lease there says nothing of mappings. Kernel: fs/locks.c:check_conflicting_open, generic_add_lease.
 */
import { errno, native } from './native.ts';

const fcntl = native<[number, number, number], number>('int fcntl(int fd, int command, int argument)');

// asm-generic/fcntl.h
const F_SETLEASE = 1024;
const F_GETLEASE = 1025;
const F_RDLCK = 0;
const F_UNLCK = 2;

const EAGAIN = 11;

/** `writers`: somebody has it open for writing. `unavailable`: the file system gives no leases, or not to this user. */
export type LeaseTaken = 'held' | 'writers' | 'unavailable';

/**
 * The holder is sent SIGIO where somebody wants to write, whose default is to end the process: see {@link ignoreLeaseSignal}.
 * @param fd open for reading only, of a regular file
 */
export function takeReadLease(fd: number): LeaseTaken {
  if (fcntl(fd, F_SETLEASE, F_RDLCK) === 0) return 'held';
  return errno() === EAGAIN ? 'writers' : 'unavailable';
}

/** False where there is none, or where somebody waits for it to be given up. */
export function holdsReadLease(fd: number): boolean {
  return fcntl(fd, F_GETLEASE, 0) === F_RDLCK;
}

export function giveUpLease(fd: number): void {
  fcntl(fd, F_SETLEASE, F_UNLCK);
}

const signal = native<[number, bigint], bigint | null>('void *signal(int signal, uintptr_t handler)');
const SIGIO = 29;
const SIG_IGN = 1n;

/** For the whole process, and what it executes. */
export function ignoreLeaseSignal(): void {
  signal(SIGIO, SIG_IGN);
}
