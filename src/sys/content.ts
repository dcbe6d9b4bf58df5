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
  readonly digests: Readonly<Record<A, Buffer>>;
}

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
 */
export function hashContent<A extends DigestAlgorithm>(fd: number, algorithms: readonly A[]): HashedContent<A> {
  let before = identityOf(fstatSync(fd, { bigint: true }));
  for (let attempt = 1; ; attempt++) {
    const digests = readAndHash(fd, algorithms);
    const after = identityOf(fstatSync(fd, { bigint: true }));
    if (attempt === 2 || identityKey(before) === identityKey(after)) return { identity: after, digests };
    before = after;
  }
}

function readAndHash<A extends DigestAlgorithm>(fd: number, algorithms: readonly A[]): Record<A, Buffer> {
  const states = algorithms.map((name) => [name, createHash(digestInfo(name).opensslName)] as const);
  for (let position = 0; ; ) {
    const length = readSync(fd, CHUNK, 0, CHUNK.length, position);
    if (length === 0) break;
    const part = CHUNK.subarray(0, length);
    for (const [, state] of states) state.update(part);
    position += length;
  }
  return Object.fromEntries(states.map(([name, state]) => [name, state.digest()])) as Record<A, Buffer>;
}
