/** The measuring thread's loop: executions as fanotify tells them, all of /proc every now and then. Runs in a Worker. */
import { closeSync, fstatSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { OVERFLOW_GAP } from '../../evidence/index.ts';
import { ExecWatch, SysError } from '../../sys/index.ts';
import { errnoOf } from '../error.ts';
import type { FileMeasurer, MeasuredFile } from './measurer.ts';
import { fileSystemsWithPrograms } from './mounts.ts';
import { type ProcessWalk, walkProcesses } from './processes.ts';

/** Plain data: it crosses from the measuring thread to the one that lists. */
export type WatchReport =
  /** How executions are seen, and why not better. */
  | { readonly kind: 'watching'; readonly by: 'fanotify'; readonly unwatched: readonly string[] }
  | { readonly kind: 'watching'; readonly by: 'polling'; readonly reason: string }
  /** Programs that were executed, not given out before. */
  | { readonly kind: 'executed'; readonly files: readonly MeasuredFile[] }
  /** A look at every process; `fresh` is to be listed. */
  | { readonly kind: 'walked'; readonly walk: ProcessWalk; readonly milliseconds: number }
  /** Executions went unseen: there were more than could be looked at. `file` is the entry that says so. */
  | { readonly kind: 'gap'; readonly file: MeasuredFile };

export interface WatchOptions {
  readonly fanotify: boolean;
  /** Look at all processes at least this often, in ms, where fanotify does not tell of executions. */
  readonly pollEvery: number;
  readonly measurer: FileMeasurer;
  readonly report: (report: WatchReport) => void;
  readonly isStopped: () => boolean;
  /** Waits that many ms at most, or until stopped. */
  readonly sleep: (milliseconds: number) => void;
}

/** With fanotify a walk is for what it does not tell: libraries, mapped after the program was opened. */
const WALK_AFTER_EXEC = 1000;
const WALK_AT_LEAST_EVERY = 10_000;
/** Walks take at most a twentieth of the time, but a slow one (the first hashes everything) does not blind for long. */
const REST = 20;
const LONGEST_REST = 5_000;
/** How long a walk goes on before it looks after executions. */
const SERVE_EVERY = 20;
/** How long a stop may take. */
const WAIT = 200;

export function watch(options: WatchOptions): void {
  // First the marks, then the look at everything: what starts in between is seen twice and not never. It also maps our own
  // native module before we look.
  const source = options.fanotify ? openFanotify(options) : undefined;
  if (!options.fanotify) options.report({ kind: 'watching', by: 'polling', reason: 'fanotify is not asked for' });
  let walked = walkAndReport(options, source);
  try {
    let executedSince = false;
    while (!options.isStopped()) {
      const since = performance.now() - walked.at;
      const wish = source === undefined ? options.pollEvery : executedSince ? WALK_AFTER_EXEC : WALK_AT_LEAST_EVERY;
      const left = Math.max(wish, Math.min(walked.took * REST, LONGEST_REST)) - since;
      if (left <= 0) {
        executedSince = false;
        walked = walkAndReport(options, source);
      } else if (source === undefined) options.sleep(Math.min(left, WAIT));
      else if (source.measureExecutions(Math.min(left, WAIT))) executedSince = true;
    }
  } finally {
    source?.close();
  }
}

/** Executions are taken from the kernel's queue in between: it must not run over while a big file is hashed, then the next. */
function walkAndReport(
  { measurer, report }: WatchOptions,
  source: ExecutionSource | undefined,
): { at: number; took: number } {
  const start = performance.now();
  let served = start;
  const walk = walkProcesses(measurer, () => {
    if (source === undefined || performance.now() - served < SERVE_EVERY) return;
    source.measureExecutions(0);
    served = performance.now();
  });
  const took = performance.now() - start;
  report({ kind: 'walked', walk, milliseconds: took });
  return { at: performance.now(), took };
}

/** @returns undefined where executions are found by polling instead, which is reported with the reason */
function openFanotify(options: WatchOptions): ExecutionSource | undefined {
  try {
    return new ExecutionSource(options);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    const reason = error.advice === undefined ? error.message : `${error.message}; ${error.advice}`;
    options.report({ kind: 'watching', by: 'polling', reason });
    return undefined;
  }
}

class ExecutionSource {
  readonly #watch = new ExecWatch();
  /** Reports a mount or unmount as POLLPRI. */
  readonly #mountInfo = openSync('/proc/self/mountinfo', 'r');
  readonly #watched = new Set<string>();
  readonly #options: WatchOptions;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#watchMounts();
  }

  /** Waits that long at most for executions and measures them. @returns whether there were any */
  measureExecutions(milliseconds: number): boolean {
    const { events, changed } = this.#watch.wait(milliseconds, this.#mountInfo);
    if (changed) this.#watchMounts();
    if (!events) return false;
    const fresh: MeasuredFile[] = [];
    for (const event of this.#watch.read()) {
      if (event.kind === 'overflow') this.#reportGap();
      else fresh.push(...this.#measure(event.fd, event.pid));
    }
    if (fresh.length > 0) this.#options.report({ kind: 'executed', files: fresh });
    return true;
  }

  close(): void {
    this.#watch.close();
    closeSync(this.#mountInfo);
  }

  #reportGap(): void {
    const { file } = this.#options.measurer.giveUnmeasured(OVERFLOW_GAP, 'gap', BigInt(Date.now()));
    this.#options.report({ kind: 'gap', file });
  }

  #measure(fd: number, pid: number): readonly MeasuredFile[] {
    let link: string | undefined;
    try {
      const name = readlinkSync(`/proc/self/fd/${fd}`, 'latin1');
      link = name;
      const { measurer } = this.#options;
      const measured = measurer.touching(name, () => {
        const stats = fstatSync(fd, { bigint: true });
        return measurer.measure({ link: name, stats, pid, isShared: false }, fd);
      });
      return measured?.isNew ? [measured.file] : [];
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      // An execution whose content cannot be read (EIO, a network gone).
      const { file, isNew } = this.#options.measurer.giveUnmeasured(link ?? OVERFLOW_GAP, 'unreadable');
      return isNew ? [file] : [];
    } finally {
      closeSync(fd);
    }
  }

  #watchMounts(): void {
    const unwatched: string[] = [];
    for (const mount of fileSystemsWithPrograms(readFileSync('/proc/self/mountinfo', 'latin1'))) {
      if (this.#watched.has(mount.device)) continue;
      try {
        this.#watch.watchFileSystem(Buffer.from(mount.path, 'latin1'));
        this.#watched.add(mount.device);
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        unwatched.push(`${mount.path} (${mount.type}): ${error.errno ?? error.message}`);
      }
    }
    if (this.#watched.size === 0)
      throw new SysError('sys.call-failed', `no file system can be watched: ${unwatched[0] ?? ''}`);
    this.#options.report({ kind: 'watching', by: 'fanotify', unwatched });
  }
}
