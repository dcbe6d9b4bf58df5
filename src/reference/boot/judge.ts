/** A boot against components: which one is not as any of its variants, and which do not go together. */
import type { BootLog } from '../../boot/index.ts';
import type { DigestAlgorithm } from '../../bytes/index.ts';
import { type BootComponent, type BootVariant, type ObservedComponent, observeComponents } from './components.ts';

export type BootDifference =
  | { readonly kind: 'unknown-component'; readonly component: string; readonly pcr: number }
  /** `event`: the index in the log of the first that the nearest variant does not have; undefined: events are missing. */
  | {
      readonly kind: 'unknown-variant';
      readonly component: string;
      readonly pcr: number;
      readonly event: number | undefined;
    }
  | {
      readonly kind: 'not-together';
      readonly component: string;
      readonly pcr: number;
      readonly variant: string;
      readonly other: string;
      readonly otherVariant: string;
    };

/**
 * Nothing where each PCR's events are explained. Order is judged within a component, not between two of one PCR.
 * @param bank the quoted one; a digest that log or reference lacks in it matches nothing
 * @param proven the PCRs whose quoted value the log replays to: others are not judged
 */
export function judgeComponents(
  components: readonly BootComponent[],
  log: BootLog,
  bank: DigestAlgorithm,
  proven: ReadonlySet<number>,
): readonly BootDifference[] {
  const boot = observeComponents(log);
  const differences: BootDifference[] = [];
  const known = new Set(components.map(({ name }) => name));
  for (const [component, { pcr }] of boot) {
    if (proven.has(pcr) && !known.has(component)) differences.push({ kind: 'unknown-component', component, pcr });
  }
  // Two variants may be equal in this bank: each that fits counts.
  const fitting = new Map<string, readonly BootVariant[]>();
  for (const { name, pcr, variants } of components) {
    if (!proven.has(pcr)) continue;
    const observed = boot.get(name)?.events ?? [];
    const fits = variants.filter(
      ({ events }) => events.length === observed.length && agreed(events, observed, bank) === observed.length,
    );
    if (fits.length > 0) fitting.set(name, fits);
    else {
      const nearest = Math.max(0, ...variants.map(({ events }) => agreed(events, observed, bank)));
      differences.push({ kind: 'unknown-variant', component: name, pcr, event: observed[nearest]?.index });
    }
  }
  return [...differences, ...components.flatMap((component) => untied(component, fitting))];
}

/** How many events from the first on are the same. */
function agreed(events: BootVariant['events'], observed: ObservedComponent['events'], bank: DigestAlgorithm): number {
  const differs = observed.findIndex(({ digests }, index) => {
    const found = digests[bank];
    return found === undefined || events[index]?.[bank] !== found;
  });
  return differs === -1 ? observed.length : differs;
}

function untied(component: BootComponent, fitting: ReadonlyMap<string, readonly BootVariant[]>): BootDifference[] {
  const fits = fitting.get(component.name) ?? [];
  const failures = fits.map((variant) => untiedVariant(component, variant, fitting));
  // One variant that fits with all the others is enough.
  return failures.some((found) => found.length === 0) ? [] : (failures[0] ?? []);
}

function untiedVariant(
  { name, pcr }: BootComponent,
  variant: BootVariant,
  fitting: ReadonlyMap<string, readonly BootVariant[]>,
): BootDifference[] {
  return Object.entries(variant.only).flatMap(([other, allowed]): BootDifference[] => {
    const found = fitting.get(other);
    const first = found?.[0];
    if (found === undefined || first === undefined || found.some((one) => allowed.includes(one.name))) return [];
    return [{ kind: 'not-together', component: name, pcr, variant: variant.name, other, otherVariant: first.name }];
  });
}
