/** Digests of files that others may be writing to. */
import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { type DigestAlgorithm, digestInfo } from '../bytes/index.ts';
import { closeFile, type FileDigester, type FileStatus, openBeneath } from '../sys/index.ts';
import { FileProblem } from './problem.ts';
import { VERITY_BLOCK, type VerityAlgorithm, VerityHash } from './verity-digest.ts';

/** Read at once of a file's beginning: whole blocks of fs-verity. */
const PART_SIZE = 1 << 18;

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

  /** Bytes of an open file, by their place; its position is left alone. A file that has become shorter has changed. */
  at(fd: number, position: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let at = 0; at < length; ) {
      const count = readPart(fd, bytes.subarray(at), position + at);
      if (count === 0) throw new FileProblem('changed');
      at += count;
    }
    return bytes;
  }

  /** The digest of a file's first bytes. @param fd open; its status is in `before`, its position is left alone */
  beginning(fd: number, length: number, algorithm: DigestAlgorithm): Buffer {
    const state = createHash(digestInfo(algorithm).opensslName);
    for (const part of this.#parts(fd, length)) state.update(part);
    return state.digest();
  }

  /** The digest that fs-verity will give of a file. @param fd as that of {@link beginning} */
  verityDigest(fd: number, algorithm: VerityAlgorithm): Buffer {
    const hash = new VerityHash(algorithm);
    for (const part of this.#parts(fd, this.#before.size)) {
      for (let at = 0; at < part.length; at += VERITY_BLOCK) hash.add(part.subarray(at, at + VERITY_BLOCK));
    }
    return hash.digest();
  }

  /** A file's first bytes; at their end it is sure that they had not changed. */
  *#parts(fd: number, length: number): Generator<Buffer> {
    for (let at = 0; at < length; at += PART_SIZE) yield this.at(fd, at, Math.min(PART_SIZE, length - at));
    if (!this.#after.ofOpen(fd).hasContentOf(this.#before)) throw new FileProblem('changed');
  }
}

function readPart(fd: number, into: Buffer, position: number): number {
  try {
    return readSync(fd, into, 0, into.length, position);
  } catch {
    throw new FileProblem('read-failed');
  }
}
