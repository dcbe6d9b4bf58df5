/** What was done to a directory's entries, taken back as far as what is there tells what was there. */
import type { EntryChange } from './compare.ts';
import { type DirectoryEntry, sortedEntries } from './entry.ts';
import type { EntryMark } from './mark.ts';

const nameKey = ({ name }: { readonly name: Uint8Array }): string => Buffer.from(name).toString('latin1');

/**
 * The entries before the changes, so that a directory's digest over them can be compared with its label's. Whoever was told
 * a wrong change gets wrong entries, and with them another digest.
 * @param entries as they are now
 * @param labelled the digest that the label of a directory beneath holds; undefined where it has none that does
 * @returns undefined where something is gone: a deleted entry, or a content that was changed
 */
export function entriesBefore(
  entries: readonly DirectoryEntry[],
  changes: readonly EntryChange[],
  labelled: (name: Uint8Array) => Uint8Array | undefined,
): DirectoryEntry[] | undefined {
  const byName = new Map(entries.map((entry) => [nameKey(entry), entry]));
  for (const change of changes) if (!undo(byName, change, labelled)) return undefined;
  return sortedEntries([...byName.values()]);
}

function undo(
  byName: Map<string, DirectoryEntry>,
  change: EntryChange,
  labelled: (name: Uint8Array) => Uint8Array | undefined,
): boolean {
  switch (change.kind) {
    case 'added':
      return byName.delete(nameKey(change.entry));
    case 'deleted':
      return false;
    case 'renamed':
      return rename(byName, change.now, change.before);
    case 'swapped':
      return swap(byName, change.first, change.second);
    case 'type-changed':
    case 'content-changed': {
      const { before, now } = change;
      const entry = byName.get(nameKey(now));
      const digest = before.type === 'directory' && now.type === 'directory' ? labelled(now.name) : undefined;
      if (entry === undefined || digest === undefined) return false;
      byName.set(nameKey(now), { ...entry, digest });
      return true;
    }
  }
}

function rename(byName: Map<string, DirectoryEntry>, now: EntryMark, before: EntryMark): boolean {
  const entry = byName.get(nameKey(now));
  if (entry === undefined || !before.isWhole) return false;
  byName.delete(nameKey(now));
  byName.set(nameKey(before), { ...entry, name: before.name });
  return true;
}

function swap(byName: Map<string, DirectoryEntry>, first: EntryMark, second: EntryMark): boolean {
  const [one, other] = [byName.get(nameKey(first)), byName.get(nameKey(second))];
  if (one === undefined || other === undefined) return false;
  byName.set(nameKey(first), { ...other, name: first.name });
  byName.set(nameKey(second), { ...one, name: second.name });
  return true;
}
