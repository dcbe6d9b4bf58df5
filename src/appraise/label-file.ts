/** Labels one file: the fewest system calls that notice a file that changes meanwhile. */
import { statfsSync } from 'node:fs';
import { type DigestAlgorithm, digestInfo } from '../bytes/index.ts';
import { openSigner, type Signer, signDigest } from '../digsig/index.ts';
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
import { beginsLikeSignedLabel } from './directory/label.ts';
import { EvmLabeller } from './evm-labeller.ts';
import { inJournal } from './journal.ts';
import { withoutNul } from './paths.ts';
import { problemOf } from './problem.ts';
import { StableReader } from './stable-reader.ts';
import type { Batch, BatchResult, FileOutcome, LabelChange, LabelTask } from './task.ts';

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
  readonly #reader: StableReader;
  readonly #prefix: Buffer;
  readonly #signer: Signer | undefined;
  readonly #evm: EvmLabeller | undefined;

  /** @throws {DigestAlgorithmError} @throws {SysError} `sys.unavailable` */
  constructor(task: LabelTask) {
    this.#task = task;
    this.#digester = fileDigester(task.algorithm);
    this.#prefix = digestPrefix(task.algorithm);
    this.#reader = new StableReader(task, this.#before, this.#after);
    this.#signer = task.signer === undefined ? undefined : openSigner(task.signer);
    this.#evm = task.evm === undefined ? undefined : new EvmLabeller(task.evm, task.algorithm);
  }

  run(batch: Batch): BatchResult {
    return runBatch(batch, this.#task.details, (path, result) => this.#one(path, batch.linksSettled, result));
  }

  #one(path: Buffer, linksSettled: boolean, result: BatchTally): FileOutcome | undefined {
    const known = this.#fromJournal(path);
    if (known !== undefined) {
      result.files += 1;
      result.bytes += this.#before.size;
      return { change: 'unchanged', ...(this.#task.details ? { digest: Buffer.from(known) } : {}) };
    }
    const fd = openBeneath(this.#task.root, path, this.#task);
    try {
      this.#before.ofOpen(fd);
      if (!this.#before.isRegular) throw new FileProblem('became-other');
      if (!linksSettled && this.#before.links > 1) {
        result.links.push({ path: withoutNul(path), inode: this.#before.inode });
        return undefined;
      }
      const digest = this.#reader.digest(fd, path, this.#digester);
      if (this.#signer !== undefined && beginsLikeSignedLabel(fd)) throw new FileProblem('directory-label-content');
      const written = this.#write(fd, this.#labelOf(digest));
      const evmWritten = !this.#task.dryRun && this.#evm?.label(fd, this.#before.device) === true;
      const change = written === 'same' && evmWritten ? 'replaced' : written;
      result.files += 1;
      result.bytes += this.#before.size;
      this.#note(fd, result, digest);
      return { change, digest };
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

  #labelOf(digest: Buffer): Buffer {
    const { algorithm } = this.#task;
    if (this.#signer === undefined) return Buffer.concat([this.#prefix, digest]);
    return Buffer.concat([SIGNATURE, signDigest(this.#signer, algorithm, digest)]);
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
      // A used-up quota is EDQUOT, however much of the disk is free.
      if (problemOf(error).errno === 'ENOSPC' && hasFreeBlocks(fd)) throw new FileProblem('no-xattr-room');
      throw error;
    }
  }

  #note(fd: number, result: BatchTally, digest: Uint8Array): void {
    if (!this.#task.notes || this.#task.dryRun) return;
    this.#after.ofOpen(fd);
    // Another's change since the hash shows as a newer content time.
    if (!this.#after.hasContentOf(this.#before) || this.#after.contentAgeNs < FRESH_NS) return;
    result.note(this.#after, this.#task.labelIdentity, digest);
  }
}

/** EVM_IMA_XATTR_DIGSIG: a signature follows. */
const SIGNATURE = Buffer.of(0x03);

/** ext4 answers ENOSPC too where the attributes of one file fill the block that they share. */
function hasFreeBlocks(fd: number): boolean {
  // Not bfree: some blocks are kept back even from root (ext4's s_resv_clusters).
  return statfsSync(`/proc/self/fd/${fd}`).bavail > 0;
}

/** `04 ‖ algorithm`; `01` for MD5 and SHA-1, as the kernel writes them (ima_appraise.c:ima_fix_xattr). */
function digestPrefix(algorithm: DigestAlgorithm): Buffer {
  const { kernelId } = digestInfo(algorithm);
  return kernelId <= digestInfo('sha1').kernelId ? Buffer.of(0x01) : Buffer.of(0x04, kernelId);
}
