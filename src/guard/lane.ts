/** One group of file systems with the threads that answer for them. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { type CloseEvents, type PermissionEvents, Waker } from '../sys/index.ts';
import { Counters } from './counters.ts';
import type { DeciderStart } from './decision/thread.ts';
import { GuardError } from './error.ts';
import type { DeciderOrder, DeciderReport, ExaminerProgress, ExaminerSetup, ExaminerStart } from './messages.ts';
import type { LaneName } from './mounts/watched-mounts.ts';

const entry = (name: string): URL =>
  new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

const DECIDER = entry('decision/thread');
const EXAMINER = entry('examine/thread');

/** Beside those that it starts with, in place of what gives no answer. */
const MAX_EXTRA_EXAMINERS = 8;

/** What is asked of one group of file systems, and what is told of it. */
export interface LaneEvents {
  readonly events: PermissionEvents;
  readonly closed: CloseEvents;
}

export interface LaneOptions extends LaneEvents {
  readonly name: LaneName;
  /** See `DeciderStart`. */
  readonly heart: number | undefined;
  readonly examiners: number;
  readonly patienceMs: number;
  readonly ownProcesses: readonly number[];
  readonly ownStates: readonly string[];
  readonly onReport: (lane: Lane, report: DeciderReport) => void;
  /** A thread ended by itself. */
  readonly onFailure: (error: unknown) => void;
}

interface Examiner {
  readonly worker: Worker;
  readonly setups: MessagePort;
}

export class Lane {
  readonly name: LaneName;
  readonly events: PermissionEvents;
  readonly closed: CloseEvents;
  readonly counters: Counters = new Counters();
  readonly #options: LaneOptions;
  readonly #waker: Waker;
  readonly #port: MessagePort;
  readonly #unread = new Int32Array(new SharedArrayBuffer(4));
  readonly #decider: Worker;
  readonly #examiners: Examiner[] = [];
  readonly #policies = new Map<number, () => void>();
  readonly #stopped = Promise.withResolvers<void>();
  #setup: ExaminerSetup | undefined;
  #isEnding = false;

  /** Nothing is watched yet. The descriptors are taken over. @throws {SysError} */
  constructor(options: LaneOptions) {
    this.name = options.name;
    this.#options = options;
    this.events = options.events;
    this.closed = options.closed;
    this.#waker = Waker.open();
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#port.on('message', (report: DeciderReport) => this.#take(report));
    const workerData: DeciderStart = {
      port: port2,
      events: this.events.fd,
      closed: this.closed.fd,
      wake: this.#waker.fd,
      counters: this.counters.shared,
      unread: this.#unread,
      patienceMs: options.patienceMs,
      isRemote: options.name === 'remote',
      heart: options.heart,
      ownProcesses: options.ownProcesses,
      ownStates: options.ownStates,
    };
    this.#decider = this.#spawn(DECIDER, workerData, [port2]);
    for (let count = 0; count < options.examiners; count++) this.#addExaminer();
  }

  #spawn(file: URL, workerData: unknown, transferList: MessagePort[]): Worker {
    const worker = new Worker(file, { workerData, transferList, trackUnmanagedFds: false });
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', () => {
      if (!this.#isEnding) this.#fail(new GuardError('guard.failed', `a thread of the guard ended by itself`));
    });
    return worker;
  }

  #fail(error: unknown): void {
    if (!this.#isEnding) this.#options.onFailure(error);
    this.#stopped.resolve();
  }

  #addExaminer(): void {
    const setups = new MessageChannel();
    const orders = new MessageChannel();
    const progress: ExaminerProgress = new Int32Array(new SharedArrayBuffer(8));
    const workerData: ExaminerStart = { setups: setups.port2, orders: orders.port2, wake: this.#waker.fd, progress };
    const worker = this.#spawn(EXAMINER, workerData, [setups.port2, orders.port2]);
    if (this.#setup !== undefined) setups.port1.postMessage(this.#setup);
    setups.port1.unref();
    this.#examiners.push({ worker, setups: setups.port1 });
    this.#order({ kind: 'examiner', port: orders.port1, progress }, [orders.port1]);
  }

  #order(order: DeciderOrder, transferList: MessagePort[] = []): void {
    this.#port.postMessage(order, transferList);
    this.#waker.wake();
  }

  #take(report: DeciderReport): void {
    Atomics.sub(this.#unread, 0, 1);
    if (report.kind === 'in-force') {
      this.#policies.get(report.policy)?.();
      this.#policies.delete(report.policy);
    } else if (report.kind === 'stopped') this.#stopped.resolve();
    else if (report.kind === 'stuck' && this.#examiners.length < this.#options.examiners + MAX_EXTRA_EXAMINERS) {
      this.#addExaminer();
    }
    this.#options.onReport(this, report);
  }

  /** Puts a policy in force: resolves when every access is decided by it. */
  async setPolicy(setup: ExaminerSetup, order: Extract<DeciderOrder, { kind: 'policy' }>): Promise<void> {
    this.#setup = setup;
    for (const { setups } of this.#examiners) setups.postMessage(setup);
    const inForce = new Promise<void>((resolve) => this.#policies.set(order.policy, resolve));
    this.#order(order);
    await Promise.race([inForce, this.#stopped.promise]);
  }

  allowOwn(state: string): void {
    this.#order({ kind: 'own', state });
  }

  setHeart(heart: number | undefined): void {
    this.#order({ kind: 'heart', heart });
  }

  measured(job: number, isDone: boolean): void {
    this.#order({ kind: 'measured', job, isDone });
  }

  remounted(): void {
    this.#order({ kind: 'remounted' });
  }

  /**
   * Watches nothing any more and lets everybody pass who waits; the descriptors are closed. A thread that waits for a file
   * system which gives nothing cannot be ended: it is left behind.
   */
  async stop(): Promise<void> {
    this.#isEnding = true;
    this.events.unwatchAll();
    this.closed.unwatchAll();
    this.#order({ kind: 'stop' });
    await Promise.race([this.#stopped.promise, new Promise((resolve) => setTimeout(resolve, STOP_MS).unref())]);
    this.events.close();
    this.closed.close();
    this.#port.close();
    for (const { worker, setups } of this.#examiners) {
      setups.close();
      worker.unref();
      void worker.terminate();
    }
    this.#decider.unref();
    void this.#decider.terminate();
  }
}

/** How long an orderly end may take. */
const STOP_MS = 2000;
