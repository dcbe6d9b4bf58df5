/**
 * Does batches in threads, of which this one is the first: beside the others it would only wait. A tree of one batch is
 * done here alone, for a thread takes longer to start.
 */
import { Worker } from 'node:worker_threads';
import { AppraiseError } from './error.ts';
import { runnerOf } from './runner.ts';
import type { Batch, BatchResult, Task } from './task.ts';

/** Batches that wait at each thread, so that none waits for this one. */
const AHEAD = 3;

/** A larger file would keep this thread from the others for longer than what waits there takes them. */
const LARGEST_HERE = 1 << 20;

const WORKER = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

/** Where batches come from and results go; called in this thread alone. */
export interface BatchSource {
  /** Undefined where there is none for now: results may bring further ones. */
  next(): Batch | undefined;
  /** In any order. */
  took(result: BatchResult): void;
}

export interface PoolOptions {
  /** Threads, this one among them. */
  readonly jobs: number;
  /** Aborted: no further batch is begun; those begun are finished. */
  readonly signal?: AbortSignal;
}

/**
 * Runs every batch of the source.
 * @throws {AppraiseError} `appraise.worker`, and what the task throws when it opens its keys
 */
export async function runPool(task: Task, source: BatchSource, { jobs, signal }: PoolOptions): Promise<void> {
  const first = source.next();
  if (first === undefined) return;
  const second = source.next();
  const begun = second === undefined ? [first] : [first, second];
  const workers = Array.from({ length: second === undefined ? 0 : jobs - 1 }, () => {
    return new Worker(WORKER, { workerData: task });
  });
  try {
    await new Pool(task, continued(begun, source), workers, signal).run();
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function continued(begun: Batch[], source: BatchSource): BatchSource {
  return { next: () => begun.shift() ?? source.next(), took: (result) => source.took(result) };
}

interface Thread {
  readonly worker: Worker;
  waiting: number;
}

class Pool {
  readonly #runHere: (batch: Batch) => BatchResult;
  readonly #source: BatchSource;
  readonly #threads: readonly Thread[];
  readonly #signal: AbortSignal | undefined;
  #isDoneHere = false;

  /** @throws what opening the task's keys throws */
  constructor(task: Task, source: BatchSource, workers: readonly Worker[], signal: AbortSignal | undefined) {
    this.#runHere = runnerOf(task);
    this.#source = source;
    this.#threads = workers.map((worker) => ({ worker, waiting: 0 }));
    this.#signal = signal;
  }

  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        if (this.#isDoneHere && this.#threads.every(({ waiting }) => waiting === 0)) resolve();
      };
      for (const thread of this.#threads) {
        thread.worker.on('message', (result: BatchResult) => {
          try {
            this.#heard(thread, result);
            settle();
          } catch (error) {
            reject(error);
          }
        });
        thread.worker.once('error', reject);
        thread.worker.once('exit', () => {
          reject(new AppraiseError('appraise.worker', 'a worker thread ended before its work'));
        });
        this.#fill(thread);
      }
      this.#here().then(settle, reject);
    });
  }

  #heard(thread: Thread, result: BatchResult): void {
    thread.waiting -= 1;
    this.#source.took(result);
    this.#fill(thread);
  }

  #fill(thread: Thread): void {
    while (thread.waiting < AHEAD) {
      const batch = this.#next();
      if (batch === undefined) return;
      this.#post(thread, batch);
    }
  }

  #post(thread: Thread, batch: Batch): void {
    thread.worker.postMessage(batch);
    thread.waiting += 1;
  }

  #next(): Batch | undefined {
    return this.#signal?.aborted === true ? undefined : this.#source.next();
  }

  /** Between batches the other threads' results, progress and signals are heard. */
  async #here(): Promise<void> {
    for (let batch = this.#next(); batch !== undefined; batch = this.#next()) {
      const [leastBusy] = this.#threads.toSorted((a, b) => a.waiting - b.waiting);
      if (leastBusy === undefined) this.#source.took(this.#runHere(batch));
      else if (batch.isLeft) this.#post(leastBusy, batch);
      else this.#source.took(this.#runHere({ ...batch, largest: LARGEST_HERE }));
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    this.#isDoneHere = true;
  }
}
