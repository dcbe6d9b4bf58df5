/**
 * The digest that fs-verity will give of a file once it is enabled with its defaults: blocks of 4096 bytes, no salt
 * (Documentation/filesystems/fsverity.rst, "Merkle tree" and "fs-verity descriptor"; fs/verity/open.c).
 */
import { type DigestAlgorithm, digest, digestInfo } from '../bytes/index.ts';

/** FS_VERITY_HASH_ALG_* of linux/fsverity.h. */
const ALGORITHM_IDS = { sha256: 1, sha512: 2 } as const;

export type VerityAlgorithm = keyof typeof ALGORITHM_IDS;

export const isVerityAlgorithm = (algorithm: DigestAlgorithm): algorithm is VerityAlgorithm =>
  Object.hasOwn(ALGORITHM_IDS, algorithm);

export const VERITY_BLOCK = 4096;
const LOG_BLOCK = 12;
const ROOT_ROOM = 64;
const DESCRIPTOR_SIZE = 256;

interface Level {
  readonly block: Buffer;
  filled: number;
}

/** Takes a file's blocks, in their order. */
export class VerityHash {
  readonly #algorithm: VerityAlgorithm;
  readonly #levels: Level[] = [];
  #size = 0;

  constructor(algorithm: VerityAlgorithm) {
    this.#algorithm = algorithm;
  }

  /** @param block of {@link VERITY_BLOCK} bytes, but for the file's last */
  add(block: Uint8Array): void {
    this.#size += block.length;
    const whole = block.length === VERITY_BLOCK ? block : Buffer.concat([block], VERITY_BLOCK);
    this.#push(0, digest(this.#algorithm, whole));
  }

  #push(height: number, hash: Buffer): Level {
    const level = this.#levels[height] ?? { block: Buffer.alloc(VERITY_BLOCK), filled: 0 };
    this.#levels[height] = level;
    if (level.filled === VERITY_BLOCK) {
      this.#push(height + 1, digest(this.#algorithm, level.block));
      level.block.fill(0);
      level.filled = 0;
    }
    level.block.set(hash, level.filled);
    level.filled += hash.length;
    return level;
  }

  /** A file's own hash where it has one block; of an empty file zeros. */
  #root(): Uint8Array {
    let level = this.#levels[0];
    if (level === undefined) return new Uint8Array();
    const hashSize = digestInfo(this.#algorithm).size;
    for (let height = 0; this.#levels.length > height + 1 || level.filled > hashSize; height++) {
      level = this.#push(height + 1, digest(this.#algorithm, level.block));
    }
    return level.block.subarray(0, hashSize);
  }

  /** H(struct fsverity_descriptor), the file digest. */
  digest(): Buffer {
    const descriptor = Buffer.alloc(DESCRIPTOR_SIZE);
    descriptor.set([1, ALGORITHM_IDS[this.#algorithm], LOG_BLOCK]);
    descriptor.writeBigUInt64LE(BigInt(this.#size), 8);
    const root = this.#root();
    descriptor.set(root.subarray(0, ROOT_ROOM), 16);
    return digest(this.#algorithm, descriptor);
  }
}
