import { createHash } from 'node:crypto';
import { type BigIntStats, fstatSync, readSync } from 'node:fs';
import { type DigestAlgorithm, digestInfo } from '../bytes/index.ts';

/** A file's content is unchanged as long as all of these are (kernel: the change detection of ima_main.c by i_version, or ctime). */
export interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export interface HashedContent<A extends DigestAlgorithm> {
  readonly identity: FileIdentity;
  /** Undefined where the file is longer than the bound. */
  readonly digests: Readonly<Record<A, Buffer>> | undefined;
}

/**
 * Longest content that is hashed. Hashing blocks its thread, and anybody can make a sparse file of terabytes and map it.
 * The largest programs and libraries stay below (browsers and their like take some hundred MiB); this much takes seconds.
 */
export const MAX_HASHED = 2 ** 30;

/** One text for one state of one file: a cache key. */
export function identityKey(file: FileIdentity): string {
  return `${file.dev}:${file.ino}:${file.size}:${file.mtimeNs}:${file.ctimeNs}`;
}

export function identityOf(stats: BigIntStats): FileIdentity {
  const { dev, ino, size, mtimeNs, ctimeNs } = stats;
  return { dev, ino, size, mtimeNs, ctimeNs };
}

const CHUNK = Buffer.allocUnsafeSlow(1 << 20);

/**
 * Hashes a file in several algorithms with one read of its content. A file that changes while it is read is read once
 * more; if it changes again, what was read last counts, as with IMA's open-writers violation nobody can say better.
 * @param fd open for reading, of a regular file; its position is not used
 * @param limit bytes beyond which nothing is hashed
 * @param onRead called after each part that was read
 */
export function hashContent<A extends DigestAlgorithm>(
  fd: number,
  algorithms: readonly A[],
  limit = MAX_HASHED,
  onRead?: () => void,
): HashedContent<A> {
  let before = identityOf(fstatSync(fd, { bigint: true }));
  for (let attempt = 1; ; attempt++) {
    if (before.size > limit) return { identity: before, digests: undefined };
    const digests = readAndHash(fd, algorithms, limit, onRead);
    const after = identityOf(fstatSync(fd, { bigint: true }));
    if (attempt === 2 || identityKey(before) === identityKey(after)) return { identity: after, digests };
    before = after;
  }
}

/** @returns undefined where the file grew past the limit while it was read */
function readAndHash<A extends DigestAlgorithm>(
  fd: number,
  algorithms: readonly A[],
  limit: number,
  onRead: (() => void) | undefined,
): Record<A, Buffer> | undefined {
  const states = algorithms.map((name) => [name, createHash(digestInfo(name).opensslName)] as const);
  for (let position = 0; ; ) {
    const length = readSync(fd, CHUNK, 0, CHUNK.length, position);
    if (length === 0) break;
    onRead?.();
    const part = CHUNK.subarray(0, length);
    for (const [, state] of states) state.update(part);
    position += length;
    if (position > limit) return undefined;
  }
  return Object.fromEntries(states.map(([name, state]) => [name, state.digest()])) as Record<A, Buffer>;
}
