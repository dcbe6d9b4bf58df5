/** Hands batches to worker threads. A tree of one batch is done in this thread: a thread takes longer to start. */
import { Worker } from 'node:worker_threads';
import { AppraiseError } from './error.ts';
import { runnerOf } from './runner.ts';
import type { Batch, BatchResult, Task } from './task.ts';

/** Batches that wait at each thread, so that none waits for this one. */
const AHEAD = 3;

const WORKER = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

export interface PoolOptions {
  readonly jobs: number;
  /** Called in this thread, in any order. */
  readonly onResult: (result: BatchResult) => void;
  /** Aborted: no further batch is begun; those begun are finished. */
  readonly signal?: AbortSignal;
}

/**
 * Runs every batch that `batches` gives; it is asked for the next only when a thread has room, and once more after each
 * result, so that results may bring further batches.
 * @throws {AppraiseError} `appraise.worker`, and what the task throws when it opens its keys
 */
export async function runPool(task: Task, batches: Iterator<Batch>, options: PoolOptions): Promise<void> {
  const first = batches.next();
  if (first.done === true) return;
  const second = batches.next();
  const begun = second.done === true ? [first.value] : [first.value, second.value];
  const isSmall = begun.length === 1 || options.jobs === 1;
  await (isSmall ? runHere : runThreads)(task, continued(begun, batches), options);
}

/** Not a generator: `batches` may have more after it had none, once results are in. */
function continued(begun: Batch[], batches: Iterator<Batch>): Iterator<Batch> {
  return {
    next: () => {
      const value = begun.shift();
      return value === undefined ? batches.next() : { done: false, value };
    },
  };
}

async function runHere(task: Task, batches: Iterator<Batch>, { onResult, signal }: PoolOptions): Promise<void> {
  const run = runnerOf(task);
  for (let next = batches.next(); next.done !== true; next = batches.next()) {
    if (signal?.aborted === true) return;
    onResult(run(next.value));
    // Progress and signals are heard between batches.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

async function runThreads(task: Task, batches: Iterator<Batch>, options: PoolOptions): Promise<void> {
  const threads = Array.from({ length: options.jobs }, () => new Worker(WORKER, { workerData: task }));
  try {
    await Promise.all(threads.map((thread) => feed(thread, batches, options)));
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}

/** Keeps one thread busy until there are no more batches. */
function feed(thread: Worker, batches: Iterator<Batch>, { onResult, signal }: PoolOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    let waiting = 0;
    const fill = (): void => {
      while (waiting < AHEAD && signal?.aborted !== true) {
        const next = batches.next();
        if (next.done === true) break;
        thread.postMessage(next.value);
        waiting += 1;
      }
      if (waiting === 0) resolve();
    };
    const guarded = (step: () => void) => (): void => {
      try {
        step();
      } catch (error) {
        reject(error);
      }
    };
    thread.on('message', (result: BatchResult) => {
      waiting -= 1;
      guarded(() => {
        onResult(result);
        fill();
      })();
    });
    thread.once('error', reject);
    thread.once('exit', () => reject(new AppraiseError('appraise.worker', 'a worker thread ended before its work')));
    guarded(fill)();
  });
}
