/** Digests of files that others may be writing to. */
import { closeFile, type FileDigester, type FileStatus, openBeneath } from '../sys/index.ts';
import { FileProblem } from './batch-run.ts';

/** A file that changes under the reader is read this often. */
const ATTEMPTS = 3;

export class StableReader {
  readonly #place: { readonly root: number; readonly oneFileSystem: boolean };
  readonly #before: FileStatus;
  readonly #after: FileStatus;

  /** @param before holds a file's status from before its content was read @param after is overwritten */
  constructor(
    place: { readonly root: number; readonly oneFileSystem: boolean },
    before: FileStatus,
    after: FileStatus,
  ) {
    this.#place = place;
    this.#before = before;
    this.#after = after;
  }

  /**
   * Reads until size and times of before and after agree; leaves in `before` the status that belongs to the digest.
   * @param first open, at its start; its status is in `before`
   */
  digest(first: number, path: Buffer, digester: FileDigester): Buffer {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const fd = attempt === 1 ? first : openBeneath(this.#place.root, path, this.#place);
      try {
        if (attempt > 1) this.#before.ofOpen(fd);
        const { digest, length } = digester.digest(fd, this.#before.size);
        if (length === this.#before.size && this.#after.ofOpen(fd).hasContentOf(this.#before)) return digest;
      } finally {
        if (fd !== first) closeFile(fd);
      }
    }
    throw new FileProblem('changed');
  }
}
