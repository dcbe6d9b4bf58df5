/** The digest of a directory: a Merkle node over its sorted entries. */
import { ByteWriter, type DigestAlgorithm, digest, digestInfo } from '../../bytes/index.ts';
import { type DirectoryEntry, entryTypeCode } from './entry.ts';

/**
 * Whether inode numbers count. A portable digest is the same for every copy of the tree; a bound one only for the tree
 * where it was made, so that a file replaced by an equal one of another inode is seen too.
 */
export const LABEL_FORMS = ['portable', 'bound'] as const;
export type LabelForm = (typeof LABEL_FORMS)[number];

/** Told apart from every file's content and from a link's digest; the number is the encoding's version. */
const DOMAIN = Buffer.from('assay directory 1\0', 'latin1');

/**
 * H(domain ‖ form u8 ‖ algorithm u8 ‖ [bound: inode u64] ‖ count u32 ‖ entries), each entry
 * type u8 ‖ name length u8 ‖ name ‖ [bound: inode u64] ‖ digest; integers big-endian. Every part has its length before it
 * or a fixed one, so no two trees have the same input.
 * @param entries sorted (`sortedEntries`)
 * @param ino the directory's own inode number, read only for bound digests
 */
export function directoryDigest(
  form: LabelForm,
  algorithm: DigestAlgorithm,
  entries: readonly DirectoryEntry[],
  ino: bigint,
): Buffer {
  const isBound = form === 'bound';
  const writer = new ByteWriter(64 * (entries.length + 1));
  writer.bytes(DOMAIN).u8(LABEL_FORMS.indexOf(form)).u8(digestInfo(algorithm).kernelId);
  if (isBound) writer.u64be(ino);
  writer.u32be(entries.length);
  for (const entry of entries) {
    writer.u8(entryTypeCode(entry.type)).u8(entry.name.length).bytes(entry.name);
    if (isBound) writer.u64be(entry.ino);
    writer.bytes(entry.digest);
  }
  return digest(algorithm, writer.finish());
}
