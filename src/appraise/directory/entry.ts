/** What a directory label says of one name in the directory. */
import { type DigestAlgorithm, digest } from '../../bytes/index.ts';

/** In the order of their codes in labels: the index is the code. */
export const ENTRY_TYPES = ['file', 'directory', 'link', 'char-device', 'block-device', 'fifo', 'socket'] as const;

export type EntryType = (typeof ENTRY_TYPES)[number];

export interface DirectoryEntry {
  /** The name's bytes: not empty, at most 255, no slash, no NUL. */
  readonly name: Uint8Array;
  readonly type: EntryType;
  /** The digest of what stands under the name: {@link linkDigest} and its like, a file's content, a directory's entries. */
  readonly digest: Uint8Array;
  /** Read only for bound labels. */
  readonly ino: bigint;
}

export function entryTypeCode(type: EntryType): number {
  return ENTRY_TYPES.indexOf(type);
}

const text = (value: string): Buffer => Buffer.from(value, 'latin1');
const LINK = text('assay link 1\0');
const DEVICE = text('assay device 1\0');
const NOTHING = text('assay nothing 1\0');

/** @param target the link's bytes, as readlink(2) gives them */
export function linkDigest(algorithm: DigestAlgorithm, target: Uint8Array): Buffer {
  return digest(algorithm, LINK, target);
}

/** @param device `st_rdev` of a character or block device */
export function deviceDigest(algorithm: DigestAlgorithm, device: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(device);
  return digest(algorithm, DEVICE, bytes);
}

/** For a FIFO or a socket: nothing but its type counts. */
export function emptyDigest(algorithm: DigestAlgorithm): Buffer {
  return digest(algorithm, NOTHING);
}

/** Sorted as labels need it: by the names' bytes, whatever order the file system gave them in. */
export function sortedEntries<E extends { readonly name: Uint8Array }>(entries: readonly E[]): E[] {
  return entries.toSorted((a, b) => Buffer.compare(a.name, b.name));
}
