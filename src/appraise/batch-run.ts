/** Does one thing with each file of a batch; a file that cannot be done is noted and the next one comes. */
import type { FileStatus } from '../sys/index.ts';
import { RECORD_SIZE, sealRecord } from './journal.ts';
import { eachPath, withoutNul } from './paths.ts';
import { problemOf } from './problem.ts';
import {
  type BadFile,
  type Batch,
  type BatchProblem,
  type BatchResult,
  type FileDetail,
  type FileOutcome,
  noChanges,
} from './task.ts';

/** What became of a file; undefined where another batch is to do it; or what to ask when all files of the batch are done. */
export type FileWork = FileOutcome | undefined | (() => FileWork);

export function runBatch(
  batch: Batch,
  details: boolean,
  one: (path: Buffer, result: BatchTally) => FileWork,
): BatchResult {
  const result = new BatchTally(batch.id);
  const late: { readonly path: Buffer; readonly work: () => FileWork }[] = [];
  const take = (path: Buffer, work: () => FileWork): void => {
    try {
      const outcome = work();
      if (typeof outcome === 'function') late.push({ path, work: outcome });
      else if (outcome !== undefined) result.add(path, outcome, details);
    } catch (error) {
      const problem = problemOf(error);
      // What is mounted upon a file, where only one file system was asked for.
      if (problem.errno === 'EXDEV') result.otherFileSystems += 1;
      else result.problems.push({ path: withoutNul(path), ...problem });
    }
  };
  for (const path of eachPath(batch.paths)) take(path, () => one(path, result));
  for (const { path, work } of late) take(path, work);
  return result.done();
}

/** True where another batch is to do the file. */
export const isLeftFor = (batch: Batch, status: FileStatus): boolean =>
  !batch.isLeft && (status.links > 1 || status.size > (batch.largest ?? Number.POSITIVE_INFINITY));

const FIRST_RECORDS = 256;

/** Adds up what a batch did. */
export class BatchTally {
  files = 0;
  bytes = 0;
  otherFileSystems = 0;
  readonly changes = noChanges();
  readonly problems: BatchProblem[] = [];
  readonly left: { path: Uint8Array; inode: string }[] = [];
  readonly details: FileDetail[] = [];
  readonly bad: BadFile[] = [];
  readonly #id: number;
  #records = Buffer.alloc(0);
  #noted = 0;

  constructor(id: number) {
    this.#id = id;
  }

  add(path: Buffer, outcome: FileOutcome, details: boolean): void {
    this.changes[outcome.change] += 1;
    if (details) this.details.push({ path: withoutNul(path), ...outcome });
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
    const { files, bytes, otherFileSystems, changes, problems, bad, left, details } = this;
    const records = new Uint8Array(this.#records.subarray(0, this.#noted * RECORD_SIZE));
    return { id: this.#id, files, bytes, otherFileSystems, changes, problems, bad, left, details, records };
  }
}
