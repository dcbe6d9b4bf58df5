/** Observed boots of a fleet become one reference. */
import type { BootLog } from '../../boot/index.ts';
import { type BootComponent, type BootVariant, type EventDigests, observeComponents } from './components.ts';

/** What a kernel's update changes with it: a boot application goes only with the files that it was seen to read. */
const TIED_FROM = 'boot applications (PCR 4)';
const TIED_TO: ReadonlySet<string> = new Set(['initrd (PCR 9)', 'boot loader files (PCR 9)']);

interface Draft {
  readonly pcr: number;
  readonly events: Map<string, readonly EventDigests[]>;
}

const keyOf = (events: readonly EventDigests[]): string =>
  JSON.stringify(events.map((digests) => Object.entries(digests).sort(([a], [b]) => (a < b ? -1 : 1))));

/** @param logs boots that are approved as they are; equal parts become one variant */
export function mergeBoots(logs: readonly BootLog[]): readonly BootComponent[] {
  const boots = logs.map(observeComponents);
  const drafts = new Map<string, Draft>();
  for (const boot of boots) {
    for (const [name, { pcr }] of boot) if (!drafts.has(name)) drafts.set(name, { pcr, events: new Map() });
  }
  const chosen = boots.map((boot) => {
    const choice = new Map<string, string>();
    for (const [name, draft] of drafts) {
      const events = (boot.get(name)?.events ?? []).map(({ digests }) => digests);
      const key = keyOf(events);
      draft.events.set(key, events);
      choice.set(name, String([...draft.events.keys()].indexOf(key) + 1));
    }
    return choice;
  });
  return [...drafts].map(([name, { pcr, events }]) => {
    const variants = [...events.values()].map((variantEvents, index): BootVariant => {
      const variant = String(index + 1);
      return { name: variant, events: variantEvents, only: conditions(name, variant, chosen, drafts) };
    });
    return { name, pcr, variants };
  });
}

function conditions(
  component: string,
  variant: string,
  chosen: readonly ReadonlyMap<string, string>[],
  drafts: ReadonlyMap<string, Draft>,
): Record<string, readonly string[]> {
  const only: Record<string, readonly string[]> = {};
  if (component !== TIED_FROM) return only;
  for (const [name, draft] of drafts) {
    if (!TIED_TO.has(name)) continue;
    const boots = chosen.filter((choice) => choice.get(component) === variant);
    const seen = [...new Set(boots.flatMap((choice) => choice.get(name) ?? []))];
    if (seen.length < draft.events.size) only[name] = seen;
  }
  return only;
}
