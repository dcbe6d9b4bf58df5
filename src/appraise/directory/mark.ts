/**
 * What a label remembers of each entry, beside the digest that covers them all: enough to say afterwards which entry
 * differs. A mark explains, it decides nothing: its tag is short, and only the digest tells whether the directory is as
 * it was.
 */
import type { DirectoryEntry, EntryType } from './entry.ts';

export interface EntryMark {
  readonly name: Uint8Array;
  /** False where only the beginning of a long name is known. */
  readonly isWhole: boolean;
  readonly type: EntryType;
  /** The first {@link TAG_SIZE} bytes of the entry's digest, in hex. */
  readonly tag: string;
}

export const TAG_SIZE = 6;

export function markOf({ name, type, digest }: DirectoryEntry): EntryMark {
  return { name, isWhole: true, type, tag: Buffer.from(digest.subarray(0, TAG_SIZE)).toString('hex') };
}
