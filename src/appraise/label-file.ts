/** Labels one file: the fewest system calls that notice a file that changes meanwhile. */
import { digestInfo } from '../bytes/index.ts';
import { closeFile, FileStatus, fgetXattr, openBeneath, STATE_SIZE } from '../sys/index.ts';
import { type BatchTally, isLeftFor, runBatch } from './batch-run.ts';
import { EvmLabeller } from './evm-labeller.ts';
import { inJournal } from './journal.ts';
import { type LabelMaker, labelMaker } from './label-maker.ts';
import { withoutNul } from './paths.ts';
import { FileProblem } from './problem.ts';
import { isNew, type NewAttribute, setAttributes } from './set-attributes.ts';
import { StableReader } from './stable-reader.ts';
import type { Batch, BatchResult, FileOutcome, LabelChange, LabelTask } from './task.ts';

/**
 * A label is not noted in the journal where the content changed this shortly before: a change right after, within one
 * tick of the kernel's clock, would leave the same times (at most 10 ms with CONFIG_HZ=100).
 */
const FRESH_NS = 20_000_000;

export class Labeller {
  readonly #task: LabelTask;
  readonly #before = new FileStatus();
  readonly #after = new FileStatus();
  readonly #state = Buffer.alloc(STATE_SIZE);
  readonly #make: LabelMaker;
  readonly #evm: EvmLabeller | undefined;

  /** @throws what opening the keys throws @throws {DigestAlgorithmError} @throws {SysError} `sys.unavailable` */
  constructor(task: LabelTask) {
    this.#task = task;
    this.#make = labelMaker(task, new StableReader(task, this.#before, this.#after));
    this.#evm = task.evm === undefined ? undefined : new EvmLabeller(task.evm, task.algorithm);
  }

  run(batch: Batch): BatchResult {
    return runBatch(batch, this.#task.details, (path, result) => this.#one(path, batch, result));
  }

  #one(path: Buffer, batch: Batch, result: BatchTally): FileOutcome | undefined {
    const known = this.#fromJournal(path);
    if (known !== undefined) {
      result.files += 1;
      result.bytes += this.#before.size;
      const isTold = this.#task.details && this.#task.verity === undefined;
      return { change: 'unchanged', ...(isTold ? { digest: Buffer.from(known) } : {}) };
    }
    const fd = openBeneath(this.#task.root, path, this.#task);
    try {
      this.#before.ofOpen(fd);
      if (!this.#before.isRegular) throw new FileProblem('became-other');
      if (isLeftFor(batch, this.#before)) {
        result.left.push({ path: withoutNul(path), inode: this.#before.inode });
        return undefined;
      }
      const { label, digest } = this.#make(fd, path);
      const change = this.#write(fd, label);
      result.files += 1;
      result.bytes += this.#before.size;
      this.#note(fd, result, digest ?? NO_DIGEST);
      return { change, ...(digest === undefined ? {} : { digest }) };
    } finally {
      closeFile(fd);
    }
  }

  /** The digest of a file that the journal knows as it is now. */
  #fromJournal(path: Buffer): Buffer | undefined {
    const { journal, root, labelIdentity, algorithm } = this.#task;
    if (journal === undefined) return undefined;
    this.#before.beneath(root, path).writeState(this.#state, 0);
    return inJournal(journal, this.#state, labelIdentity)?.subarray(0, digestInfo(algorithm).size);
  }

  /** Both labels are made before either is written: what cannot be had of one leaves both as they are. */
  #write(fd: number, value: Buffer): LabelChange {
    const { attribute: name, dryRun } = this.#task;
    const label: NewAttribute = { name, value, before: fgetXattr(fd, name) };
    const evm = this.#evm?.make(fd, this.#before.device, label);
    const both = evm === undefined ? [label] : [label, evm];
    if (!dryRun) setAttributes(fd, both);
    if (label.before === undefined) return 'added';
    return both.some(isNew) ? 'replaced' : 'same';
  }

  #note(fd: number, result: BatchTally, digest: Uint8Array): void {
    if (!this.#task.notes || this.#task.dryRun) return;
    this.#after.ofOpen(fd);
    // Another's change since the hash shows as a newer content time.
    if (!this.#after.hasContentOf(this.#before) || this.#after.contentAgeNs < FRESH_NS) return;
    result.note(this.#after, this.#task.labelIdentity, digest);
  }
}

/** What the journal notes of a label that is not over the content's digest. */
const NO_DIGEST = new Uint8Array();
