/** What happened to a directory's entries, said as a person would: renamed, swapped, deleted, added, changed. */
import type { EntryMark } from './mark.ts';
import type { MarkDifference } from './mark-sketch.ts';

export type EntryChange =
  | { readonly kind: 'added' | 'deleted'; readonly entry: EntryMark }
  | {
      readonly kind: 'renamed' | 'type-changed' | 'content-changed';
      readonly before: EntryMark;
      readonly now: EntryMark;
    }
  /** Two names whose contents have changed places; `first` as it was. */
  | { readonly kind: 'swapped'; readonly first: EntryMark; readonly second: EntryMark };

const nameKey = ({ name }: EntryMark): string => Buffer.from(name).toString('latin1');
/** Equal for entries of equal content. */
export const contentKey = ({ type, tag }: EntryMark): string => `${type} ${tag}`;

/** The marks that only one of both lists has. */
export function listDifference(before: readonly EntryMark[], now: readonly EntryMark[]): MarkDifference {
  const key = (mark: EntryMark): string => `${contentKey(mark)} ${nameKey(mark)}`;
  const wasThere = new Set(before.map(key));
  const isThere = new Set(now.map(key));
  return {
    onlyBefore: before.filter((mark) => !isThere.has(key(mark))),
    onlyNow: now.filter((mark) => !wasThere.has(key(mark))),
  };
}

/** Pairs what went with what came: by name, then by content; what finds no partner was deleted or added. */
export function explainDifference({ onlyBefore, onlyNow }: MarkDifference): EntryChange[] {
  const came = new Map(onlyNow.map((mark) => [nameKey(mark), mark]));
  const sameName: [before: EntryMark, now: EntryMark][] = [];
  const gone: EntryMark[] = [];
  for (const mark of onlyBefore) {
    const now = came.get(nameKey(mark));
    if (now === undefined) gone.push(mark);
    else sameName.push([mark, now]);
    came.delete(nameKey(mark));
  }
  return [...explainSameName(sameName), ...explainOtherName(gone, [...came.values()])];
}

function explainSameName(pairs: readonly (readonly [EntryMark, EntryMark])[]): EntryChange[] {
  const changes: EntryChange[] = [];
  const swapped = new Set<EntryMark>();
  for (const [before, now] of pairs) {
    if (swapped.has(before)) continue;
    const partner = pairs.find(
      ([other, otherNow]) =>
        other !== before &&
        !swapped.has(other) &&
        contentKey(other) === contentKey(now) &&
        contentKey(otherNow) === contentKey(before),
    );
    if (partner !== undefined) {
      swapped.add(before).add(partner[0]);
      changes.push({ kind: 'swapped', first: before, second: partner[0] });
    } else {
      changes.push({ kind: before.type === now.type ? 'content-changed' : 'type-changed', before, now });
    }
  }
  return changes;
}

function explainOtherName(gone: readonly EntryMark[], came: readonly EntryMark[]): EntryChange[] {
  const left = Map.groupBy(came.toReversed(), contentKey);
  const changes = gone.map((before): EntryChange => {
    const now = left.get(contentKey(before))?.pop();
    return now === undefined ? { kind: 'deleted', entry: before } : { kind: 'renamed', before, now };
  });
  const added = [...left.values()].flat().toReversed();
  return [...changes, ...added.map((entry): EntryChange => ({ kind: 'added', entry }))];
}
