/** Judges the labels of a tree's files, batch by batch. */
import type { DigestAlgorithm } from '../bytes/index.ts';
import { DeferredSignatures } from '../digsig/index.ts';
import { closeFile, type FileDigester, FileStatus, fgetXattr, fileDigester, openBeneath } from '../sys/index.ts';
import { appendedJudge } from './appended.ts';
import type { FaultFound } from './bad-label.ts';
import { type BatchTally, type FileWork, isLeftFor, runBatch } from './batch-run.ts';
import { LabelJudge } from './label-judge.ts';
import { withoutNul } from './paths.ts';
import { FileProblem } from './problem.ts';
import { StableReader } from './stable-reader.ts';
import type { AppraiseTask, Batch, BatchResult, FileOutcome } from './task.ts';

/** What has been computed of the file at hand: the kernel asks for one digest of a file, and so do we. */
interface KnownDigest {
  algorithm: DigestAlgorithm;
  digest: Buffer;
}

interface Judged {
  /** Undefined where the label holds. */
  readonly found: FaultFound | undefined;
  readonly known: KnownDigest | undefined;
}

export class Appraiser {
  readonly #task: AppraiseTask;
  readonly #judge: LabelJudge;
  readonly #before = new FileStatus();
  readonly #reader: StableReader;
  readonly #digesters = new Map<DigestAlgorithm, FileDigester>();

  /** @throws {DigsigError} for keys that cannot be read */
  constructor(task: AppraiseTask) {
    this.#task = task;
    this.#reader = new StableReader(task, this.#before, new FileStatus());
    this.#judge = new LabelJudge(task);
  }

  run(batch: Batch): BatchResult {
    const deferred = new DeferredSignatures();
    return runBatch(batch, this.#task.digestsIn !== undefined, (path, result) =>
      this.#one(path, batch, result, deferred),
    );
  }

  /** @param deferred left out: every signature is verified at once */
  #one(path: Buffer, batch: Batch, result: BatchTally, deferred?: DeferredSignatures): FileWork {
    const fd = openBeneath(this.#task.root, path, this.#task);
    try {
      this.#before.ofOpen(fd);
      if (!this.#before.isRegular) throw new FileProblem('became-other');
      if (isLeftFor(batch, this.#before)) {
        result.left.push({ path: withoutNul(path), inode: this.#before.inode });
        return undefined;
      }
      const number = deferred?.count;
      const { found, known } = this.#judged(fd, path, deferred);
      const { size } = this.#before;
      const done = (): FileOutcome => {
        const detail = known?.algorithm === this.#task.digestsIn && known !== undefined ? { digest: known.digest } : {};
        result.files += 1;
        result.bytes += size;
        if (found === undefined) return { change: 'good', ...detail };
        result.bad.push({ path: withoutNul(path), ...found });
        return { change: 'bad', ...detail };
      };
      if (deferred === undefined || number === undefined || deferred.count === number) return done();
      return () => (deferred.isValid(number) ? done() : this.#one(path, batch, result));
    } finally {
      closeFile(fd);
    }
  }

  #judged(fd: number, path: Buffer, deferred?: DeferredSignatures): Judged {
    let known: KnownDigest | undefined;
    const { found } = this.#judge.judge({
      fd,
      device: this.#before.device,
      label: fgetXattr(fd, this.#task.attribute),
      type: this.#task.type,
      digest: (algorithm) => {
        if (known?.algorithm !== algorithm) {
          known = { algorithm, digest: this.#reader.digest(fd, path, this.#digester(algorithm)) };
        }
        return known.digest;
      },
      appended: (keyring) => appendedJudge(this.#reader, fd, this.#before.size, keyring),
      ...(deferred === undefined ? {} : { deferred }),
    });
    return { found, known };
  }

  #digester(algorithm: DigestAlgorithm): FileDigester {
    const there = this.#digesters.get(algorithm);
    if (there !== undefined) return there;
    const made = fileDigester(algorithm);
    this.#digesters.set(algorithm, made);
    return made;
  }
}
