/** Exports the labels of a tree: a manifest that names files by content, or an archive that holds them. */
import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { DigestAlgorithm } from '../../bytes/index.ts';
import { closeFile, FileStatus, openBeneath } from '../../sys/index.ts';
import { AppraiseError } from '../error.ts';
import { eachPath, withoutNul } from '../paths.ts';
import { FileProblem, type Problem, problemOf } from '../problem.ts';
import { TreeRoot } from '../tree-run.ts';
import { type OtherEntry, TreeWalk, type WalkOptions } from '../walk.ts';
import { labelAttributes, type Namespace } from './attributes.ts';
import type { EntryWriter, ExportSummary } from './entry-writer.ts';
import { ManifestWriter } from './manifest-writer.ts';
import { Output } from './output.ts';
import { ArchiveWriter } from './tar/archive-writer.ts';
import { withNul } from './tree-path.ts';

export const EXPORT_FORMATS = ['manifest', 'tar'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportOptions extends WalkOptions {
  /** A file, replaced when all is written, or `-` for standard output. */
  readonly output: string;
  readonly format?: ExportFormat;
  /** Of a manifest's files: sha256. */
  readonly algorithm?: DigestAlgorithm;
  readonly namespace?: Namespace;
  /** Also labels that hold for one inode alone. */
  readonly bound?: boolean;
  readonly onProblem?: (problem: Problem) => void;
  readonly onProgress?: (progress: { readonly files: number; readonly bytes: number }) => void;
  readonly signal?: AbortSignal;
}

/**
 * Writes the export in this thread. What goes wrong with one file is reported and counted, and the rest is done.
 * @throws {AppraiseError} root, and an output that lies in the tree @throws {DigestAlgorithmError}
 * @throws the error of node:fs where the output cannot be written
 */
export async function exportLabels(tree: string, options: ExportOptions): Promise<ExportSummary> {
  const root = new TreeRoot(tree);
  try {
    refuseWithin(root, options.output);
    const output = new Output(options.output);
    try {
      const run = new ExportRun(root, options, output);
      const summary = await run.whole();
      if (summary.finished) output.finish();
      return summary;
    } finally {
      output.close();
    }
  } finally {
    root.close();
  }
}

/** An export would otherwise hold itself. */
function refuseWithin(root: TreeRoot, output: string): void {
  if (output === '-') return;
  const place = join(realpathSync(dirname(output)), basename(output));
  if (root.only !== undefined || root.beneath(place) === undefined) return;
  throw new AppraiseError('appraise.option', `${output} lies in the tree that is exported`, {
    advice: 'name a file outside of it',
  });
}

class ExportRun {
  readonly #root: TreeRoot;
  readonly #options: ExportOptions;
  readonly #writer: EntryWriter;
  readonly #status = new FileStatus();
  readonly #summary: ExportSummary = {
    files: 0,
    directories: 0,
    bytes: 0,
    unlabelled: 0,
    symlinks: 0,
    special: 0,
    problems: 0,
    finished: false,
  };

  constructor(root: TreeRoot, options: ExportOptions, output: Output) {
    this.#root = root;
    this.#options = options;
    const { algorithm = 'sha256', namespace = 'security', bound = false, format = 'manifest' } = options;
    const attributes = labelAttributes(namespace);
    const shared = { root, attributes, bound, output, summary: this.#summary };
    this.#writer = format === 'tar' ? new ArchiveWriter(shared) : new ManifestWriter(shared, algorithm);
  }

  async whole(): Promise<ExportSummary> {
    const walk = new TreeWalk(this.#root.fd, { ...this.#options, onOther: (entry) => this.#other(entry) });
    const { only } = this.#root;
    for (const batch of only === undefined ? walk.batches() : [Buffer.from(`${only}\0`)]) {
      this.#tellProblems(walk);
      if (this.#options.signal?.aborted === true) return this.#summary;
      for (const path of eachPath(batch)) this.#try(withoutNul(path), () => this.#file(path));
      this.#options.onProgress?.(this.#summary);
      // Signals are heard between batches.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#tellProblems(walk);
    this.#summary.special = walk.counts.special;
    this.#writer.end();
    this.#summary.finished = true;
    return this.#summary;
  }

  #file(path: Buffer): void {
    this.#withOpen(path, false, (fd) => {
      if (!this.#status.isRegular) throw new FileProblem('became-other');
      this.#writer.file(path, fd, this.#status);
    });
  }

  #other({ path, type, target }: OtherEntry): void {
    this.#try(path, () => {
      if (type === 'directory') {
        this.#withOpen(withNul(path), true, (fd) => this.#writer.directory(path, fd, this.#status));
      } else if (target !== undefined) {
        this.#writer.symlink(path, target, this.#status.beneath(this.#root.fd, withNul(path)));
      }
    });
  }

  #withOpen(path: Buffer, directory: boolean, use: (fd: number) => void): void {
    const oneFileSystem = this.#options.oneFileSystem === true;
    const fd = openBeneath(this.#root.fd, path, { directory, oneFileSystem });
    try {
      this.#status.ofOpen(fd);
      use(fd);
    } finally {
      closeFile(fd);
    }
  }

  #try(path: Uint8Array, one: () => void): void {
    try {
      one();
    } catch (error) {
      this.#tell({ path, ...(error instanceof FileProblem ? { code: error.problem } : problemOf(error)) });
    }
  }

  #tellProblems(walk: TreeWalk): void {
    for (const problem of walk.problems.splice(0)) this.#tell(problem);
  }

  #tell(problem: Problem): void {
    this.#summary.problems += 1;
    this.#options.onProblem?.(problem);
  }
}
