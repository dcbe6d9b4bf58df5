/** epoll(7): one wait for many descriptors. */
import { callFailed } from './error.ts';
import { errno, native } from './native.ts';

const epollCreate = native<[number], number>('int epoll_create1(int flags)');
const epollControl = native<[number, number, number, Buffer], number>(
  'int epoll_ctl(int epoll, int operation, int fd, const uint8_t *event)',
);
const epollWait = native<[number, Buffer, number, number], number>(
  'int epoll_wait(int epoll, _Out_ uint8_t *events, int count, int timeout)',
);

// sys/epoll.h; the same on x64 and arm64.
const CLOEXEC = 0x80000;
const CTL_ADD = 1;
const CTL_DEL = 2;
const CTL_MOD = 3;
const ONESHOT = 1 << 30;

export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;

/** struct epoll_event: events u32, data u64; packed on x64 alone. */
const DATA_AT = process.arch === 'x64' ? 4 : 8;
const EVENT_SIZE = DATA_AT + 8;

const MAX_EVENTS = 64;

export interface EpollEvent {
  readonly fd: number;
  /** EPOLLIN, EPOLLOUT, and EPOLLERR and EPOLLHUP, which come unasked. */
  readonly events: number;
}

/** @throws {SysError} where koffi does not load or descriptors are used up */
export function openEpoll(): number {
  const fd = epollCreate(CLOEXEC);
  if (fd < 0) throw callFailed('epoll_create1', '', errno());
  return fd;
}

function control(epoll: number, operation: number, fd: number, events: number): void {
  const event = Buffer.alloc(EVENT_SIZE);
  event.writeUInt32LE(events >>> 0);
  event.writeInt32LE(fd, DATA_AT);
  if (epollControl(epoll, operation, fd, event) !== 0) throw callFailed('epoll_ctl', '', errno());
}

/** Tells one time of the next of these events. @throws {SysError} */
export function armEpoll(epoll: number, fd: number, events: number, isNew: boolean): void {
  control(epoll, isNew ? CTL_ADD : CTL_MOD, fd, events | ONESHOT);
}

/** Tells of every event until told otherwise. @throws {SysError} */
export function addToEpoll(epoll: number, fd: number, events: number): void {
  control(epoll, CTL_ADD, fd, events);
}

/** To be called before the descriptor is closed. @throws {SysError} */
export function removeFromEpoll(epoll: number, fd: number): void {
  control(epoll, CTL_DEL, fd, 0);
}

/** Blocks this thread for at most `timeout` ms: for a Worker. */
export function waitEpoll(epoll: number, timeout: number): EpollEvent[] {
  const events = Buffer.alloc(MAX_EVENTS * EVENT_SIZE);
  const count = Math.max(0, epollWait(epoll, events, MAX_EVENTS, timeout));
  return Array.from({ length: count }, (_, index) => ({
    events: events.readUInt32LE(index * EVENT_SIZE),
    fd: events.readInt32LE(index * EVENT_SIZE + DATA_AT),
  }));
}
