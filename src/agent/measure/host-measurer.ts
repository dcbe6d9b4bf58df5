import { toHex } from '../../bytes/index.ts';
import { HELD_UP_GAP, type Observation, type Unmeasured, unmeasuredDigest } from '../../evidence/index.ts';
import { decodePath } from '../../ima/index.ts';
import { AgentError } from '../error.ts';
import { listedName } from './entry.ts';
import type { MeasurementLog } from './measurement-log.ts';
import type { MeasuredFile } from './measurer.ts';
import { MeasuringProcess } from './measuring-process.ts';
import type { ProcessWalk, StaleFile } from './processes.ts';
import type { WatchReport } from './watch.ts';
import type { WatchMessage } from './watch-control.ts';

export interface HostMeasurerOptions {
  readonly log: MeasurementLog;
  /** Left out: fanotify where the kernel lets us, else polling. False: polling. */
  readonly fanotify?: boolean;
  /** Hash MD5 along, for a reference from dpkg. */
  readonly md5?: boolean;
  /** Where fanotify does not tell of executions: how often to look at all processes, in ms. Left out: 1000. */
  readonly pollEvery?: number;
  /** How long a file may give nothing, in ms, before measuring goes on without it. Left out: 10,000. */
  readonly patience?: number;
  /** Called when files have been listed and PCR 10 extended with them. */
  readonly onListed?: (files: readonly MeasuredFile[]) => void;
  /** Called once where measuring ends by itself: the log or the measuring process failed. */
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

/** Each costs one `patience` without measuring: beyond, somebody makes them on purpose. */
const MAX_UNANSWERED = 100;

/**
 * Measures this host from now on: everything in use first, then each execution. Hashes in a process of its own, which is
 * given up for another one where a file holds it up.
 */
export class HostMeasurer {
  readonly #options: HostMeasurerOptions;
  readonly #first = Promise.withResolvers<ProcessWalk>();
  readonly #unanswered = new Set<string>();
  #process: MeasuringProcess;
  #listing: Promise<void> = Promise.resolve();
  #state: WatchState = { by: 'starting', reasons: [], gaps: 0 };
  #hiddenProcesses = 0;
  #unreadableFiles = 0;
  #observations: readonly Observation[] = [];
  #isFailed = false;
  #isStopped = false;

  constructor(options: HostMeasurerOptions) {
    this.#options = options;
    this.#process = this.#start();
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
      counted(this.#state.gaps, 'time', 'times', 'executions went unseen: there were too many, or a file gave nothing'),
    ];
    return { ...this.#state, reasons: [...this.#state.reasons, ...missed.filter((one) => one !== undefined)] };
  }

  /** Files that processes still use although they were deleted or replaced, as of the last look. */
  get observations(): readonly Observation[] {
    return this.#observations;
  }

  /** Ends measuring, within seconds whatever holds it up; what was reported before is listed still. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#process.stop();
    await this.#listing.catch(() => undefined);
  }

  #start(): MeasuringProcess {
    const { fanotify = true, md5 = false, pollEvery = 1000, patience = 10_000 } = this.#options;
    const settings = { fanotify, md5, pollEvery, patience, unanswered: [...this.#unanswered] };
    const started: MeasuringProcess = new MeasuringProcess(
      settings,
      (message) => this.#receive(message, started),
      (isOrderly) => {
        if (!(isOrderly && this.#isStopped)) this.#fail(undefined);
      },
    );
    return started;
  }

  #receive(message: WatchMessage, from: MeasuringProcess): void {
    if (message.kind === 'failed') this.#fail(message.error);
    else if (message.kind === 'stuck') this.#goOnWithout(message.path);
    else if (message.kind !== 'ended') this.#inTurn(() => this.#handle(message)).finally(() => from.listed());
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#listing = this.#listing.then(work).catch((error) => this.#fail(error));
    return this.#listing;
  }

  /** The file stands in the list as unreadable, and what ended while nobody looked as a gap. */
  #goOnWithout(path: string): void {
    if (this.#isStopped || this.#isFailed) return;
    void this.#process.giveUp();
    this.#unanswered.add(path);
    if (this.#unanswered.size > MAX_UNANSWERED) {
      this.#fail(new AgentError('agent.measurer-failed', `more than ${MAX_UNANSWERED} files in use cannot be read`));
      return;
    }
    this.#state = { ...this.#state, gaps: this.#state.gaps + 1 };
    this.#inTurn(() =>
      this.#list([unmeasured(path, 'unreadable'), unmeasured(HELD_UP_GAP, 'gap', BigInt(Date.now()))]),
    );
    this.#process = this.#start();
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
    if (this.#isFailed || (this.#isStopped && cause === undefined)) return;
    this.#isFailed = true;
    const error =
      cause ??
      new AgentError('agent.measurer-failed', 'the measuring process ended', { advice: 'start the agent again' });
    void this.#process.giveUp();
    this.#first.reject(error);
    this.#options.onFailure?.(error);
  }
}

function unmeasured(path: string, why: Unmeasured, detail = 0n): MeasuredFile {
  const sha256 = unmeasuredDigest(why, detail);
  return { path: Buffer.from(path, 'latin1'), sha256, state: 'elsewhere', unmeasured: why };
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
