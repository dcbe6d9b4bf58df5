/** A run over a tree: walk, threads, hard links once, journal, problems and progress. What is done with a file is the task's. */
import { closeSync, constants, openSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, relative, sep } from 'node:path';
import { requireOpenat2 } from '../sys/index.ts';
import { AppraiseError } from './error.ts';
import { PathList } from './paths.ts';
import { type BatchSource, runPool } from './pool.ts';
import type { Problem } from './problem.ts';
import type { Batch, BatchResult, Task } from './task.ts';
import { TreeWalk, type WalkCounts, type WalkOptions } from './walk.ts';

export interface TreeProgress {
  /** Regular files that the walk has found so far; all of them once `walked`. */
  readonly found: number;
  readonly walked: boolean;
  readonly files: number;
  readonly bytes: number;
}

export interface TreeRunOptions extends WalkOptions {
  /** Threads. */
  readonly jobs: number;
  readonly onProblem?: (problem: Problem) => void;
  readonly onProgress?: (progress: TreeProgress) => void;
  readonly signal?: AbortSignal;
}

export interface TreeCounts extends WalkCounts {
  /** Regular files that were done; each inode once. */
  done: number;
  bytes: number;
  /** Further names of files that were done. */
  furtherLinks: number;
  problems: number;
  /** False where the run was stopped. */
  finished: boolean;
}

/** A tree's root: a folder, or the folder of one file. Symbolic links in the path as it was given are followed. */
export class TreeRoot {
  readonly path: string;
  readonly fd: number;
  /** Where the tree is one file: its name. */
  readonly only: string | undefined;

  /** @throws {AppraiseError} `appraise.root` */
  constructor(given: string) {
    try {
      const real = realpathSync(given);
      const stats = statSync(real);
      if (!stats.isDirectory() && !stats.isFile()) throw new Error('is neither a folder nor a regular file');
      this.path = stats.isDirectory() ? real : dirname(real);
      this.only = stats.isDirectory() ? undefined : basename(real);
      this.fd = openSync(this.path, constants.O_RDONLY | constants.O_DIRECTORY);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new AppraiseError('appraise.root', `${given}: ${reason}`, { cause, advice: 'name a folder or a file' });
    }
    requireOpenat2(this.fd);
  }

  /** The path of a file beneath the root; undefined for one that is not. */
  beneath(file: string): string | undefined {
    const path = relative(this.path, file);
    return path.startsWith(`..${sep}`) || path === '..' || path === '' ? undefined : path;
  }

  close(): void {
    closeSync(this.fd);
  }
}

const NO_FOLDER = Buffer.alloc(0);
const NUL = Buffer.alloc(1);

interface RunOptions extends TreeRunOptions {
  readonly onBatch: (result: BatchResult) => void;
}

/** Runs the task over the tree. @throws what stops a whole run */
export async function runTree(root: TreeRoot, task: Task, options: RunOptions): Promise<TreeCounts> {
  const run = new TreeRun(root, options);
  await runPool(task, run, options);
  return run.counts();
}

class TreeRun implements BatchSource {
  readonly #walk: TreeWalk;
  readonly #walked: Iterator<Uint8Array>;
  readonly #options: RunOptions;
  /** Inodes that a batch left, of which many have several names. */
  readonly #seen = new Set<string>();
  readonly #left = new PathList();
  #id = 0;
  #outstanding = 0;
  #isWalked = false;
  readonly #done = { done: 0, bytes: 0, furtherLinks: 0, problems: 0 };
  #otherFileSystems = 0;

  constructor(root: TreeRoot, options: RunOptions) {
    this.#options = options;
    this.#walk = new TreeWalk(root.fd, options);
    this.#walked = root.only === undefined ? this.#walk.batches() : this.#single(root.only);
  }

  *#single(name: string): Generator<Uint8Array> {
    this.#walk.counts.files = 1;
    yield Buffer.from(`${name}\0`);
  }

  next(): Batch | undefined {
    if (this.#left.count > 0) return this.#batch(this.#left.take(), true);
    const next = this.#isWalked ? undefined : this.#walked.next();
    this.#tellProblems();
    if (next?.done === false) return this.#batch(next.value, false);
    this.#isWalked = true;
    return undefined;
  }

  #batch(paths: Uint8Array, isLeft: boolean): Batch {
    this.#id += 1;
    this.#outstanding += 1;
    return { id: this.#id, paths, isLeft };
  }

  took(result: BatchResult): void {
    this.#outstanding -= 1;
    for (const { path, inode } of result.left) {
      if (this.#seen.has(inode)) this.#done.furtherLinks += 1;
      else this.#left.add(NO_FOLDER, Buffer.concat([path, NUL]));
      this.#seen.add(inode);
    }
    this.#done.done += result.files;
    this.#done.bytes += result.bytes;
    this.#otherFileSystems += result.otherFileSystems;
    for (const problem of result.problems) this.#tell(problem);
    this.#options.onBatch(result);
    const { done: files, bytes } = this.#done;
    this.#options.onProgress?.({ found: this.#walk.counts.files, walked: this.#isWalked, files, bytes });
  }

  #tellProblems(): void {
    for (const problem of this.#walk.problems.splice(0)) this.#tell(problem);
  }

  #tell(problem: Problem): void {
    this.#done.problems += 1;
    this.#options.onProblem?.(problem);
  }

  counts(): TreeCounts {
    this.#tellProblems();
    const finished = this.#isWalked && this.#outstanding === 0 && this.#left.count === 0;
    const otherFileSystems = this.#walk.counts.otherFileSystems + this.#otherFileSystems;
    return { ...this.#walk.counts, ...this.#done, otherFileSystems, finished };
  }
}
