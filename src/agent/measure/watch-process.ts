/**
 * Entry of the measuring process. Its thread hashes; this one stays free to say that the thread is stuck. They are apart
 * from the agent because a read that is never answered (a user's FUSE file, a dead NFS server) cannot be broken off: once
 * the FUSE server has taken the request, not even SIGKILL ends the wait (kernel: fs/fuse/dev.c:request_wait_answer), and
 * a process ends only when all of its threads have.
 */
import { Worker } from 'node:worker_threads';
import type { WatchReport } from './watch.ts';
import {
  BUSY_LENGTH,
  CONTROL_SLOTS,
  MAX_NAME,
  PROGRESS,
  STOPPED,
  UNREAD,
  type WatchMessage,
  type WatchOrder,
  type WatchSettings,
  type WatchWorkerData,
} from './watch-control.ts';

/** How often to look after the thread, as a part of its patience. */
const LOOKS = 4;

const control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_SLOTS));
const busy = new Uint8Array(new SharedArrayBuffer(MAX_NAME));

function send(message: WatchMessage): void {
  process.send?.(message);
}

function start(settings: WatchSettings): void {
  const workerData: WatchWorkerData = { control, busy, settings };
  const entry = import.meta.url.endsWith('.ts') ? './watch-worker.ts' : './watch-worker.js';
  const worker = new Worker(new URL(entry, import.meta.url), { workerData, trackUnmanagedFds: false });
  worker.on('message', (report: WatchReport) => send(report));
  worker.on('error', (error) => send({ kind: 'failed', error }));
  worker.on('exit', end);
  lookAfter(settings.patience);
}

/** Disconnecting lets this process end; what was sent before must be out by then. */
function end(): void {
  process.removeAllListeners('disconnect');
  process.send?.({ kind: 'ended' } satisfies WatchMessage, () => process.disconnect());
}

function lookAfter(patience: number): void {
  let seen = 0;
  let since = performance.now();
  const timer = setInterval(() => {
    const progress = Atomics.load(control, PROGRESS);
    const length = Atomics.load(control, BUSY_LENGTH);
    if (length === 0 || progress !== seen) {
      seen = progress;
      since = performance.now();
    } else if (performance.now() - since >= patience) {
      send({ kind: 'stuck', path: Buffer.from(busy.subarray(0, length)).toString('latin1') });
      clearInterval(timer); // the agent ends this process
    }
  }, patience / LOOKS);
  timer.unref();
}

function stopThread(): void {
  Atomics.store(control, STOPPED, 1);
  Atomics.notify(control, STOPPED);
  Atomics.notify(control, UNREAD);
}

process.on('message', (order: WatchOrder) => {
  if (order.kind === 'start') start(order.settings);
  else if (order.kind === 'stop') stopThread();
  else {
    Atomics.sub(control, UNREAD, 1);
    Atomics.notify(control, UNREAD);
  }
});
// The agent has ended. A thread that is stuck would hold up process.exit.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
// Ctrl-C and service managers signal the whole group: the agent is told too, and ends this process in its own order.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
