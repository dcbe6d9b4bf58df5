/**
 * Where evidence is verified. Short lists in the event loop, where they take less than the way to a thread; long ones,
 * some 1 µs an entry, in a thread of their own, so that no other host waits for them.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Evidence } from '../evidence/index.ts';
import type { AttestationResult, VerifyInput } from '../verify/index.ts';
import { ServerError } from './error.ts';
import type { Judgement } from './judgement.ts';
import { type FromVerifyThread, movable, type ToVerifyThread, type VerifyThreadData } from './verify-thread.ts';

/** Bytes of logs above which evidence goes to a thread: some 2,500 entries. */
const LONG = 256 * 1024;
/** Evidence that waits for a thread; its bytes are bounded by what may be received at once (`BytesInFlight`). */
const MAX_WAITING = 512;

export interface VerifyPoolOptions {
  readonly judgement: Judgement;
  /** Left out: one less than there are cores, and at most two. */
  readonly threads?: number;
  readonly maxWaiting?: number;
}

export interface Verified {
  readonly result: AttestationResult;
  /** What was verified; its list may have new memory, the old was moved to a thread. */
  readonly evidence: Evidence;
}

interface Task {
  readonly input: VerifyInput;
  readonly done: PromiseWithResolvers<Verified>;
}

interface Thread {
  readonly worker: Worker;
  task: Task | undefined;
}

export class VerifyPool {
  readonly #judgement: Judgement;
  readonly #maxThreads: number;
  readonly #maxWaiting: number;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Task[] = [];
  /** Hosts with evidence here: one each, so that none takes the threads from the others. */
  readonly #hosts = new Set<string>();
  #isClosed = false;

  constructor({ judgement, threads, maxWaiting = MAX_WAITING }: VerifyPoolOptions) {
    this.#judgement = judgement;
    this.#maxThreads = threads ?? Math.max(1, Math.min(2, availableParallelism() - 1));
    this.#maxWaiting = maxWaiting;
  }

  /**
   * @throws {ServerError} `server.busy` where too much waits or the host has evidence here already,
   * `server.verifier-died`, `server.stopping`
   */
  async verify(hostId: string, input: VerifyInput): Promise<Verified> {
    const { evidence } = input;
    const { module } = this.#judgement;
    if (module === undefined || bytesOfLogs(evidence) <= LONG) {
      return { result: this.#judgement.verify(input), evidence };
    }
    if (this.#isClosed) throw stopping();
    if (this.#hosts.has(hostId)) throw busy('evidence of this host is being verified');
    if (this.#waiting.length >= this.#maxWaiting) throw busy('too much evidence waits to be verified');
    const task: Task = { input, done: Promise.withResolvers() };
    this.#hosts.add(hostId);
    this.#waiting.push(task);
    this.#dealOut(module);
    try {
      return await task.done.promise;
    } finally {
      this.#hosts.delete(hostId);
    }
  }

  /** Ends the threads; who still waits is told that the server stops. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const task of this.#waiting.splice(0)) task.done.reject(stopping());
    const threads = [...this.#threads];
    for (const { task } of threads) task?.done.reject(stopping());
    await Promise.all(threads.map(({ worker }) => worker.terminate()));
  }

  #dealOut(module: string): void {
    for (const thread of this.#threads) if (thread.task === undefined) this.#next(thread);
    while (this.#waiting.length > 0 && this.#threads.size < this.#maxThreads) this.#next(this.#start(module));
  }

  #next(thread: Thread): void {
    thread.task = this.#waiting.shift();
    if (thread.task === undefined) return;
    const { reference, ...input } = thread.task.input;
    send(thread, { kind: 'verify', input, referenceId: reference?.id }, movable(input.evidence.imaLog));
  }

  #start(module: string): Thread {
    const entry = import.meta.url.endsWith('.ts') ? './verify-worker.ts' : './verify-worker.js';
    const workerData: VerifyThreadData = { module };
    const thread: Thread = { worker: new Worker(new URL(entry, import.meta.url), { workerData }), task: undefined };
    this.#threads.add(thread);
    let cause: unknown;
    thread.worker.on('message', (message: FromVerifyThread) => this.#take(thread, message));
    thread.worker.on('error', (error) => {
      cause = error;
    });
    thread.worker.on('exit', (code) => {
      this.#threads.delete(thread);
      thread.task?.done.reject(died(code, cause));
      if (!this.#isClosed) this.#dealOut(module);
    });
    return thread;
  }

  #take(thread: Thread, message: FromVerifyThread): void {
    const { task } = thread;
    if (message.kind === 'needs-reference') {
      const manifest = task?.input.reference?.manifest;
      if (manifest !== undefined) send(thread, { kind: 'reference', manifest });
      return;
    }
    if (message.kind === 'fault') task?.done.reject(message.error);
    else if (task !== undefined) {
      const { result, imaLog } = message;
      task.done.resolve({ result, evidence: { ...task.input.evidence, imaLog } });
    }
    this.#next(thread);
  }
}

function send({ worker }: Thread, message: ToVerifyThread, moved: ArrayBuffer[] = []): void {
  worker.postMessage(message, moved);
}

function bytesOfLogs({ bootLog, imaLog, userspaceLog }: Evidence): number {
  return [bootLog, imaLog, userspaceLog].reduce((sum, log) => sum + ('bytes' in log ? log.bytes.length : 0), 0);
}

function busy(why: string): ServerError {
  return new ServerError('server.busy', why, { advice: 'try again in a moment' });
}

function stopping(): ServerError {
  return new ServerError('server.stopping', 'the server is stopping', { advice: 'try again when it runs' });
}

function died(code: number, cause: unknown): ServerError {
  const why = cause instanceof Error ? cause.message : `exit code ${code}`;
  return new ServerError('server.verifier-died', `the thread that verified this evidence ended: ${why}`, {
    advice: 'send it again; if it happens again, look at the memory of the server and at its log',
    cause,
  });
}
