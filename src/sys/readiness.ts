/**
 * Waits until descriptors can be read or written, where Node cannot: its own loop reads what it waits for. One thread
 * waits for all of a process (epoll(7)); it runs while there is a descriptor that may be waited for.
 */
import { closeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { addToEpoll, armEpoll, EPOLLIN, EPOLLOUT, openEpoll, removeFromEpoll } from './epoll.ts';
import type { ReadinessReport, ReadinessThreadData } from './readiness-thread.ts';
import { Waker } from './waker.ts';

const THREAD = new URL(
  import.meta.url.endsWith('.ts') ? './readiness-thread.ts' : './readiness-thread.js',
  import.meta.url,
);

interface Waited {
  isKnown: boolean;
  read: (() => void) | undefined;
  write: (() => void) | undefined;
}

/** The one thread and who waits on it. */
class Readiness {
  readonly #epoll = openEpoll();
  readonly #stop = Waker.open();
  readonly #waited = new Map<number, Waited>();
  readonly #worker: Worker;
  readonly #end = (): void => this.#stop.wake();

  constructor() {
    addToEpoll(this.#epoll, this.#stop.fd, EPOLLIN);
    const workerData: ReadinessThreadData = { epoll: this.#epoll, stop: this.#stop.fd };
    this.#worker = new Worker(THREAD, { workerData });
    this.#worker.on('message', (events: ReadinessReport) => this.#tell(events));
    this.#worker.on('exit', () => {
      closeSync(this.#epoll);
      this.#stop.close();
    });
    this.#worker.unref();
    process.once('exit', this.#end); // Node waits for its threads
  }

  get isUsed(): boolean {
    return this.#waited.size > 0;
  }

  add(fd: number): void {
    this.#waited.set(fd, { isKnown: false, read: undefined, write: undefined });
  }

  wait(fd: number, what: 'read' | 'write', then: () => void): void {
    const waited = this.#waited.get(fd);
    if (waited === undefined) return; // it is closed
    waited[what] = then;
    this.#arm(fd, waited);
  }

  remove(fd: number): void {
    const waited = this.#waited.get(fd);
    if (waited?.isKnown === true) removeFromEpoll(this.#epoll, fd);
    this.#waited.delete(fd);
    this.#keepAlive();
  }

  /** The thread ends soon, and its descriptors with it. */
  end(): void {
    process.off('exit', this.#end);
    this.#end();
  }

  #arm(fd: number, waited: Waited): void {
    const events = (waited.read === undefined ? 0 : EPOLLIN) | (waited.write === undefined ? 0 : EPOLLOUT);
    if (events !== 0) {
      armEpoll(this.#epoll, fd, events, !waited.isKnown);
      waited.isKnown = true;
    }
    this.#keepAlive();
  }

  #tell(events: ReadinessReport): void {
    for (const { fd, events: seen } of events) {
      const waited = this.#waited.get(fd);
      if (waited === undefined) continue;
      const { read, write } = waited;
      // An error or a hang-up is for both: the call that follows tells which it is
      const isRead = (seen & ~EPOLLOUT) !== 0;
      const isWrite = (seen & ~EPOLLIN) !== 0;
      if (isRead) waited.read = undefined;
      if (isWrite) waited.write = undefined;
      this.#arm(fd, waited);
      if (isRead) read?.();
      if (isWrite) write?.();
    }
  }

  /** Who waits keeps the process alive, as with Node's own sockets. */
  #keepAlive(): void {
    const isWaiting = [...this.#waited.values()].some(({ read, write }) => read !== undefined || write !== undefined);
    if (isWaiting) this.#worker.ref();
    else this.#worker.unref();
  }
}

let shared: Readiness | undefined;

export interface Waitable {
  /** Calls `then` once, when the descriptor can be read or has ended; a later call for the same replaces it. */
  whenReadable(then: () => void): void;
  whenWritable(then: () => void): void;
  /** Before the descriptor is closed: nothing is called any more. */
  forget(): void;
}

/** @throws {SysError} where koffi does not load, or descriptors are used up */
export function waitable(fd: number): Waitable {
  shared ??= new Readiness();
  const readiness = shared;
  readiness.add(fd);
  return {
    whenReadable: (then) => readiness.wait(fd, 'read', then),
    whenWritable: (then) => readiness.wait(fd, 'write', then),
    forget() {
      readiness.remove(fd);
      if (readiness.isUsed) return;
      readiness.end();
      if (shared === readiness) shared = undefined;
    },
  };
}
