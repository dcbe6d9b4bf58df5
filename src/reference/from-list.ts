/** A reference made from a host's own measurement list: it shows what changes from now on, and nothing about before. */
import { ParseError } from '../bytes/index.ts';
import { detectListForm, EntryScanner, ImaError } from '../ima/index.ts';
import { literalPattern } from './glob.ts';
import { measuredFile } from './measured-file.ts';
import type { FileReference, ReferenceManifest, TaggedDigest } from './types.ts';

export interface ListReference {
  readonly manifest: ReferenceManifest;
  /** Entries that name no file: violations, buffers, bare names, templates that are not read. */
  readonly skipped: number;
}

/**
 * Every file of a binary list, by path and digests.
 * @param list a whole binary measurement list; it is read and not verified
 * @throws {ImaError} where it is no binary list
 * @throws {ParseError} with the offset of what is malformed
 */
export function referenceFromList(
  list: Buffer,
  about: { readonly name: string; readonly created: string },
): ListReference {
  const form = detectListForm(list);
  if (form.form !== 'binary') {
    throw new ImaError('ima.not-a-list', 'this list is in ASCII form', 'give the binary list of the kernel');
  }
  const scanner = new EntryScanner(form.templateDigestSize);
  const digests = new Map<string, Set<TaggedDigest>>();
  let skipped = 0;
  for (let at = 0; at < list.length; at = scanner.end) {
    if (!scanner.next(list, at)) throw new ParseError('parse.truncated', 'IMA entry', at, 'the list ends inside it');
    const file = scanner.violation ? undefined : measuredFile(list, scanner);
    if (file === undefined || file.isBuffer || !file.path.startsWith('/')) skipped += 1;
    else digests.set(file.path, (digests.get(file.path) ?? new Set()).add(file.digest));
  }
  const files = [...digests].map(
    ([path, values]): FileReference => ({ path: literalPattern(path), digests: [...values] }),
  );
  return { manifest: { assayReference: 1, ...about, self: true, files, pending: [], deny: [] }, skipped };
}
