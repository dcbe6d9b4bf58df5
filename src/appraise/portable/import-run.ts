/** What both formats of an import share: what becomes of an entry, and what is said of it. */
import { FileStatus, syncFileSystem } from '../../sys/index.ts';
import { FileProblem, type Problem, problemOf } from '../problem.ts';
import { type AppliedChange, applyLabels, type Wanted } from './apply.ts';
import { isPortable } from './attributes.ts';

/** Labels where there were none, others than before, or the same as before; or a file, folder or link that was missing. */
export type ImportChange = AppliedChange | 'created';

export interface ImportOptions {
  /** Change nothing, say what would be. */
  readonly dryRun?: boolean;
  /** Change nothing; what does not bear these labels is a problem. */
  readonly verify?: boolean;
  /** Set mode, owner and capability of what is there, too. */
  readonly metadata?: boolean;
  /** Also labels that hold for one inode alone. */
  readonly bound?: boolean;
  readonly onEntry?: (entry: { readonly path: Uint8Array; readonly change: ImportChange }) => void;
  readonly onProblem?: (problem: Problem) => void;
  readonly onProgress?: (progress: { readonly entries: number; readonly bytes: number }) => void;
  readonly signal?: AbortSignal;
}

export interface ImportSummary {
  readonly format: 'manifest' | 'tar';
  /** Entries that were read, whatever became of them. */
  entries: number;
  /** Content that was compared or written. */
  bytes: number;
  readonly changes: Record<ImportChange, number>;
  /** FIFOs and devices of an archive: never made. */
  special: number;
  /** Labels that hold for another inode alone. */
  bound: number;
  problems: number;
  /** False where the run was stopped. */
  finished: boolean;
}

/** What reads one format. */
export interface EntryImport {
  /** Takes one entry; false after the last. @throws {ParseError} */
  next(): boolean;
  /** Once all are taken. */
  end(): void;
}

/** Entries between which nothing else is heard. */
const AT_ONCE = 64;

/** What both formats do with an entry. */
export class ImportRun {
  readonly root: number;
  readonly options: ImportOptions;
  readonly summary: ImportSummary;
  readonly #status = new FileStatus();

  constructor(root: number, format: ImportSummary['format'], options: ImportOptions) {
    this.root = root;
    this.options = options;
    const changes = { added: 0, replaced: 0, same: 0, created: 0 };
    this.summary = { format, entries: 0, bytes: 0, changes, special: 0, bound: 0, problems: 0, finished: false };
  }

  get changesNothing(): boolean {
    return this.options.dryRun === true || this.options.verify === true;
  }

  async whole(entries: EntryImport): Promise<ImportSummary> {
    while (entries.next()) {
      this.summary.entries += 1;
      if (this.summary.entries % AT_ONCE !== 0) continue;
      this.options.onProgress?.(this.summary);
      // Signals are heard between entries.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.options.signal?.aborted === true) return this.summary;
    }
    entries.end();
    // Files without a sync may be empty after a power failure, and then their labels are those of other content.
    if (!this.changesNothing) syncFileSystem(this.root);
    this.summary.finished = true;
    return this.summary;
  }

  /** Does one entry; what goes wrong with it is told and counted. @returns whether it was done */
  entry(path: Uint8Array, one: () => ImportChange): boolean {
    try {
      const change = one();
      if (this.options.verify === true && change !== 'same') {
        throw new FileProblem(change === 'created' ? 'missing' : 'other-labels');
      }
      this.summary.changes[change] += 1;
      this.options.onEntry?.({ path, change });
      return true;
    } catch (error) {
      this.summary.problems += 1;
      this.options.onProblem?.({ path, ...problemOf(error) });
      return false;
    }
  }

  /** Labels what is there. @param fd open @throws {FileProblem} @throws {SysError} */
  apply(fd: number, wanted: Wanted): AppliedChange {
    const { metadata = false } = this.options;
    const own = { ...wanted, labels: this.portable(wanted.labels) };
    return applyLabels(fd, this.#status.ofOpen(fd), own, { dryRun: this.changesNothing, metadata });
  }

  portable(labels: Wanted['labels']): Wanted['labels'] {
    if (this.options.bound === true) return labels;
    const portable = new Map([...labels].filter(([name, value]) => isPortable(name, value)));
    this.summary.bound += labels.size - portable.size;
    return portable;
  }
}
