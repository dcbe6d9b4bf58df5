/** The thread that waits for descriptors (`readiness.ts`), and tells of those that can be read or written. */
import { parentPort, workerData } from 'node:worker_threads';
import { type EpollEvent, waitEpoll } from './epoll.ts';

export interface ReadinessThreadData {
  readonly epoll: number;
  /** Readable when the thread is to end. */
  readonly stop: number;
}

export type ReadinessReport = readonly EpollEvent[];

/** A process that is ended in haste waits for this thread so long. */
const TIMEOUT_MS = 1000;

function run({ epoll, stop }: ReadinessThreadData): void {
  for (;;) {
    const events = waitEpoll(epoll, TIMEOUT_MS);
    if (events.some(({ fd }) => fd === stop)) return;
    if (events.length > 0) parentPort?.postMessage(events satisfies ReadinessReport);
  }
}

run(workerData as ReadinessThreadData); // as `Readiness` gives it
