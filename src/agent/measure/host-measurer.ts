import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { toHex } from '../../bytes/index.ts';
import type { Observation } from '../../evidence/index.ts';
import { decodePath } from '../../ima/index.ts';
import { AgentError } from '../error.ts';
import { listedName } from './entry.ts';
import type { MeasurementLog } from './measurement-log.ts';
import type { MeasuredFile } from './measurer.ts';
import type { ProcessWalk, StaleFile } from './processes.ts';
import type { WatchReport } from './watch.ts';
import { STOPPED, UNREAD, type WatchWorkerData } from './watch-control.ts';

export interface HostMeasurerOptions {
  readonly log: MeasurementLog;
  /** Left out: fanotify where the kernel lets us, else polling. False: polling. */
  readonly fanotify?: boolean;
  /** Hash MD5 along, for a reference from dpkg. */
  readonly md5?: boolean;
  /** Where fanotify does not tell of executions: how often to look at all processes, in ms. Left out: 1000. */
  readonly pollEvery?: number;
  /** Called when files have been listed and PCR 10 extended with them. */
  readonly onListed?: (files: readonly MeasuredFile[]) => void;
  /** Called once where measuring ends by itself: the log or the thread failed. */
  readonly onFailure?: (error: unknown) => void;
}

/** How well executions are seen, for people. */
export interface WatchState {
  readonly by: 'fanotify' | 'polling' | 'starting';
  /** Why it is not better, a sentence each: not root, file systems that cannot be watched, processes that are hidden. */
  readonly reasons: readonly string[];
  /** Times that executions went unseen because there were too many. */
  readonly gaps: number;
}

/** Measures this host from now on: everything in use first, then each execution. Hashes in a thread of its own. */
export class HostMeasurer {
  readonly #options: HostMeasurerOptions;
  readonly #control = new Int32Array(new SharedArrayBuffer(8));
  readonly #worker: Worker;
  readonly #first = Promise.withResolvers<ProcessWalk>();
  #listing: Promise<void> = Promise.resolve();
  #state: WatchState = { by: 'starting', reasons: [], gaps: 0 };
  #hiddenProcesses = 0;
  #unreadableFiles = 0;
  #observations: readonly Observation[] = [];
  #isFailed = false;

  constructor(options: HostMeasurerOptions) {
    this.#options = options;
    const { fanotify = true, md5 = false, pollEvery = 1000 } = options;
    const workerData: WatchWorkerData = { control: this.#control, fanotify, md5, pollEvery };
    const entry = import.meta.url.endsWith('.ts') ? './watch-worker.ts' : './watch-worker.js';
    this.#worker = new Worker(new URL(entry, import.meta.url), { workerData, trackUnmanagedFds: false });
    this.#worker.on('message', (report: WatchReport) => this.#receive(report));
    this.#worker.on('error', (cause) => this.#fail(cause));
    this.#worker.on('exit', () => this.#fail(undefined));
    this.#first.promise.catch(() => undefined); // onFailure has it too
  }

  /** Resolves when everything that was in use at the start is listed and PCR 10 extended. */
  get ready(): Promise<ProcessWalk> {
    return this.#first.promise;
  }

  get state(): WatchState {
    const missed = [
      counted(this.#hiddenProcesses, 'process', 'processes', 'may not be looked at'),
      counted(this.#unreadableFiles, 'file', 'files', 'in use cannot be read'),
      counted(this.#state.gaps, 'time', 'times', 'executions went unseen, as there were too many'),
    ];
    return { ...this.#state, reasons: [...this.#state.reasons, ...missed.filter((one) => one !== undefined)] };
  }

  /** Files that processes still use although they were deleted or replaced, as of the last look. */
  get observations(): readonly Observation[] {
    return this.#observations;
  }

  /** Ends the thread; what it reported before is listed still. */
  async stop(): Promise<void> {
    Atomics.store(this.#control, STOPPED, 1);
    Atomics.notify(this.#control, STOPPED);
    Atomics.notify(this.#control, UNREAD);
    if (this.#worker.threadId >= 0) await once(this.#worker, 'exit');
    await this.#listing.catch(() => undefined);
  }

  #receive(report: WatchReport): void {
    this.#listing = this.#listing.then(() => this.#handle(report)).catch((error) => this.#fail(error));
    this.#listing.finally(() => {
      Atomics.sub(this.#control, UNREAD, 1);
      Atomics.notify(this.#control, UNREAD);
    });
  }

  async #handle(report: WatchReport): Promise<void> {
    if (this.#isFailed) return;
    switch (report.kind) {
      case 'watching':
        this.#state = {
          ...this.#state,
          by: report.by,
          reasons: report.by === 'polling' ? [report.reason] : report.unwatched,
        };
        return;
      case 'gap':
        this.#state = { ...this.#state, gaps: this.#state.gaps + 1 };
        return this.#list([report.file]);
      case 'executed':
        return this.#list(report.files);
      case 'walked':
        this.#hiddenProcesses = report.walk.hiddenProcesses;
        this.#unreadableFiles = report.walk.unreadableFiles;
        this.#observations = report.walk.stale.map(toObservation);
        await this.#list(report.walk.fresh);
        this.#first.resolve(report.walk);
    }
  }

  async #list(files: readonly MeasuredFile[]): Promise<void> {
    if (files.length === 0) return;
    await this.#options.log.add(files);
    this.#options.onListed?.(files);
  }

  #fail(cause: unknown): void {
    const isStopped = Atomics.exchange(this.#control, STOPPED, 1) !== 0;
    if (this.#isFailed || (isStopped && cause === undefined)) return;
    this.#isFailed = true;
    const error =
      cause ??
      new AgentError('agent.measurer-failed', 'the measuring thread ended', { advice: 'start the agent again' });
    this.#first.reject(error);
    this.#options.onFailure?.(error);
  }
}

function counted(count: number, one: string, many: string, what: string): string | undefined {
  return count === 0 ? undefined : `${count} ${count === 1 ? one : many} ${what}`;
}

function toObservation(stale: StaleFile): Observation {
  return {
    path: decodePath(listedName(stale.file.path)),
    digest: `sha256:${toHex(stale.file.sha256)}`,
    kind: stale.kind,
    processes: stale.processes,
  };
}
