/** Labels one file: the fewest system calls that notice a file that changes meanwhile. */
import { statfsSync } from 'node:fs';
import { type DigestAlgorithm, digestInfo } from '../bytes/index.ts';
import {
  closeFile,
  type FileDigester,
  FileStatus,
  fgetXattr,
  fileDigester,
  fsetXattr,
  openBeneath,
  STATE_SIZE,
} from '../sys/index.ts';
import { type BatchTally, FileProblem, runBatch } from './batch-run.ts';
import { journalHolds } from './journal.ts';
import { withoutNul } from './paths.ts';
import { problemOf } from './problem.ts';
import type { Batch, BatchResult, FileOutcome, LabelChange, LabelTask } from './task.ts';

/** A file that changes under the reader is read this often. */
const ATTEMPTS = 3;

/**
 * A label is not noted in the journal where the content changed this shortly before: a change right after, within one
 * tick of the kernel's clock, would leave the same times (at most 10 ms with CONFIG_HZ=100).
 */
const FRESH_NS = 20_000_000;

export class Labeller {
  readonly #task: LabelTask;
  readonly #digester: FileDigester;
  readonly #before = new FileStatus();
  readonly #after = new FileStatus();
  readonly #state = Buffer.alloc(STATE_SIZE);
  readonly #prefix: Buffer;

  /** @throws {DigestAlgorithmError} @throws {SysError} `sys.unavailable` */
  constructor(task: LabelTask) {
    this.#task = task;
    this.#digester = fileDigester(task.algorithm);
    this.#prefix = digestPrefix(task.algorithm);
  }

  run(batch: Batch): BatchResult {
    return runBatch(batch, this.#task.details, (path, result) => this.#one(path, batch.linksSettled, result));
  }

  #one(path: Buffer, linksSettled: boolean, result: BatchTally): FileOutcome | undefined {
    if (this.#isInJournal(path)) {
      result.files += 1;
      result.bytes += this.#before.size;
      return { change: 'unchanged' };
    }
    const fd = openBeneath(this.#task.root, path, this.#task);
    try {
      this.#before.ofOpen(fd);
      if (!this.#before.isRegular) throw new FileProblem('became-other');
      if (!linksSettled && this.#before.links > 1) {
        result.links.push({ path: withoutNul(path), inode: this.#before.inode });
        return undefined;
      }
      const digest = this.#stableDigest(fd, path);
      const change = this.#write(fd, Buffer.concat([this.#prefix, digest]));
      result.files += 1;
      result.bytes += this.#before.size;
      this.#note(fd, result);
      return { change, digest };
    } finally {
      closeFile(fd);
    }
  }

  #isInJournal(path: Buffer): boolean {
    const { journal, root, labelIdentity } = this.#task;
    if (journal === undefined) return false;
    this.#before.beneath(root, path).writeState(this.#state, 0);
    return journalHolds(journal, this.#state, labelIdentity);
  }

  /** Reads until size and times of before and after agree; leaves the descriptor's status in `#before`. */
  #stableDigest(first: number, path: Buffer): Buffer {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const fd = attempt === 1 ? first : openBeneath(this.#task.root, path, this.#task);
      try {
        if (attempt > 1) this.#before.ofOpen(fd);
        const { digest, length } = this.#digester.digest(fd, this.#before.size);
        if (length === this.#before.size && this.#after.ofOpen(fd).hasContentOf(this.#before)) return digest;
      } finally {
        if (fd !== first) closeFile(fd);
      }
    }
    throw new FileProblem('changed');
  }

  #write(fd: number, label: Buffer): LabelChange {
    const { attribute, dryRun } = this.#task;
    const old = fgetXattr(fd, attribute);
    // An equal label is left alone: writing would change the file's ctime and the disk for nothing.
    if (old?.equals(label) === true) return 'same';
    if (!dryRun) this.#set(fd, label);
    return old === undefined ? 'added' : 'replaced';
  }

  #set(fd: number, label: Buffer): void {
    try {
      fsetXattr(fd, this.#task.attribute, label);
    } catch (error) {
      if (problemOf(error).code === 'disk-full' && hasFreeBlocks(fd)) throw new FileProblem('no-xattr-room');
      throw error;
    }
  }

  #note(fd: number, result: BatchTally): void {
    if (!this.#task.notes || this.#task.dryRun) return;
    this.#after.ofOpen(fd);
    // Another's change since the hash shows as a newer content time.
    if (!this.#after.hasContentOf(this.#before) || this.#after.contentAgeNs < FRESH_NS) return;
    result.note(this.#after, this.#task.labelIdentity);
  }
}

/** ext4 answers ENOSPC too where the attributes of one file fill the block that they share. */
function hasFreeBlocks(fd: number): boolean {
  return statfsSync(`/proc/self/fd/${fd}`).bfree > 0;
}

/** `04 ‖ algorithm`; `01` for MD5 and SHA-1, as the kernel writes them (ima_appraise.c:ima_fix_xattr). */
function digestPrefix(algorithm: DigestAlgorithm): Buffer {
  const { kernelId } = digestInfo(algorithm);
  return kernelId <= digestInfo('sha1').kernelId ? Buffer.of(0x01) : Buffer.of(0x04, kernelId);
}
