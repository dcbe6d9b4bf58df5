/** Does one thing with each file of a batch; a file that cannot be done is noted and the next one comes. */
import type { FileStatus } from '../sys/index.ts';
import { RECORD_SIZE, sealRecord } from './journal.ts';
import { eachPath, withoutNul } from './paths.ts';
import { type ProblemCode, problemOf } from './problem.ts';
import {
  type BadFile,
  type Batch,
  type BatchProblem,
  type BatchResult,
  type FileDetail,
  type FileOutcome,
  noChanges,
} from './task.ts';

/** Raised for one file; caught by its batch. */
export class FileProblem extends Error {
  readonly problem: ProblemCode;

  constructor(problem: ProblemCode) {
    super(problem);
    this.problem = problem;
  }
}

/** @param one undefined where the file is left for later */
export function runBatch(
  batch: Batch,
  details: boolean,
  one: (path: Buffer, result: BatchTally) => FileOutcome | undefined,
): BatchResult {
  const result = new BatchTally(batch.id);
  for (const path of eachPath(batch.paths)) {
    try {
      const outcome = one(path, result);
      if (outcome === undefined) continue;
      result.changes[outcome.change] += 1;
      if (details) result.details.push({ path: withoutNul(path), ...outcome });
    } catch (error) {
      const problem = error instanceof FileProblem ? { code: error.problem } : problemOf(error);
      result.problems.push({ path: withoutNul(path), ...problem });
    }
  }
  return result.done();
}

const FIRST_RECORDS = 256;

/** Adds up what a batch did. */
export class BatchTally {
  files = 0;
  bytes = 0;
  readonly changes = noChanges();
  readonly problems: BatchProblem[] = [];
  readonly links: { path: Uint8Array; inode: string }[] = [];
  readonly details: FileDetail[] = [];
  readonly bad: BadFile[] = [];
  readonly #id: number;
  #records = Buffer.alloc(0);
  #noted = 0;

  constructor(id: number) {
    this.#id = id;
  }

  /** @param digest of the content */
  note(status: FileStatus, labelIdentity: number, digest: Uint8Array): void {
    const at = this.#noted * RECORD_SIZE;
    if (at === this.#records.length) {
      this.#records = Buffer.concat([this.#records], Math.max(at * 2, FIRST_RECORDS * RECORD_SIZE));
    }
    status.writeState(this.#records, at);
    sealRecord(this.#records, at, labelIdentity, digest);
    this.#noted += 1;
  }

  done(): BatchResult {
    const { files, bytes, changes, problems, bad, links, details } = this;
    const records = new Uint8Array(this.#records.subarray(0, this.#noted * RECORD_SIZE));
    return { id: this.#id, files, bytes, changes, problems, bad, links, details, records };
  }
}
