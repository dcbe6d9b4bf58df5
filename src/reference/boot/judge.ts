/** A boot against components: which one is not as any of its variants, and which do not go together. */
import type { BootLog } from '../../boot/index.ts';
import type { DigestAlgorithm } from '../../bytes/index.ts';
import { type BootComponent, type BootVariant, componentPcrs, type EventReference } from './components.ts';
import { groupByComponent, type MeasuredEvent, measuredEvents } from './observe.ts';
import { quirksOf } from './quirks.ts';

interface Difference {
  readonly component: string;
  readonly pcr: number;
}

/** `event`: an index in the log. */
export type BootDifference =
  /** Measured into a PCR that the reference judges, and no component of it. `event`: its first. */
  | (Difference & { readonly kind: 'unknown-component'; readonly event: number | undefined })
  /** `event`: the first that the nearest variant does not have; undefined: events are missing at its end. */
  | (Difference & {
      readonly kind: 'unknown-variant';
      readonly event: number | undefined;
      readonly known: readonly string[];
    })
  /** The boot has nothing of a component that every variant has something of. */
  | (Difference & { readonly kind: 'missing'; readonly known: readonly string[] })
  | (Difference & {
      readonly kind: 'not-together';
      readonly variant: string;
      readonly other: string;
      readonly otherVariant: string;
      readonly allowed: readonly string[];
    });

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
  const boot = groupByComponent(measuredEvents(log, bank, quirksOf(log, bank, proven), true));
  const { byName, pcrs } = lookUp(components, bank);
  const differences: BootDifference[] = [];
  for (const [component, { pcr, events }] of boot) {
    if (!proven.has(pcr) || !pcrs.has(pcr) || byName.has(component)) continue;
    differences.push({ kind: 'unknown-component', component, pcr, event: events[0]?.event?.index });
  }
  // Two variants may be equal in this bank: each that fits counts.
  const fitting = new Map<string, readonly BootVariant[]>();
  for (const known of byName.values()) {
    const { name, pcr, match, anything } = known.component;
    if (!proven.has(pcr) || anything !== undefined) continue;
    const events = boot.get(name)?.events ?? [];
    if (match === 'each') {
      // Not spread: a log may have more of them than a call has arguments.
      for (const stranger of strangers(known, events, bank)) differences.push(stranger);
    } else {
      const fits = fittingVariants(known, events, bank);
      if (fits.length > 0) fitting.set(name, fits);
      else differences.push(misfit(known, events, bank));
    }
  }
  return [...differences, ...components.flatMap((component) => untied(component, fitting))];
}

interface KnownComponent {
  readonly component: BootComponent;
  /** One list for all differences: a log may have as many as a reference has variants. */
  readonly names: readonly string[];
  /** By their events' keys. */
  readonly variants: ReadonlyMap<string, readonly BootVariant[]>;
}

interface LookUp {
  readonly byName: ReadonlyMap<string, KnownComponent>;
  readonly pcrs: ReadonlySet<number>;
}

/** A reference is made once and judges many boots. */
const LOOK_UPS = new WeakMap<readonly BootComponent[], Map<DigestAlgorithm, LookUp>>();

function lookUp(components: readonly BootComponent[], bank: DigestAlgorithm): LookUp {
  const banks = LOOK_UPS.get(components) ?? new Map<DigestAlgorithm, LookUp>();
  LOOK_UPS.set(components, banks);
  const known = banks.get(bank) ?? makeLookUp(components, bank);
  banks.set(bank, known);
  return known;
}

function makeLookUp(components: readonly BootComponent[], bank: DigestAlgorithm): LookUp {
  const byName = new Map<string, KnownComponent>();
  for (const component of components) {
    const variants = new Map<string, BootVariant[]>();
    for (const variant of component.variants) {
      const key = joined(variant.events.map((event) => expectedKey(event, bank)));
      if (key === undefined) continue;
      const same = variants.get(key);
      if (same === undefined) variants.set(key, [variant]);
      else same.push(variant);
    }
    byName.set(component.name, { component, names: component.variants.map(({ name }) => name), variants });
  }
  return { byName, pcrs: componentPcrs(components) };
}

/** Undefined where there is none in this bank: it then matches nothing. */
function expectedKey(event: EventReference, bank: DigestAlgorithm): string | undefined {
  return 'meaning' in event ? meaningKey(event.meaning) : event.digests[bank];
}

/** No digest in hex looks like it. */
const meaningKey = (meaning: string): string => JSON.stringify(meaning);

function joined(keys: readonly (string | undefined)[]): string | undefined {
  return keys.includes(undefined) ? undefined : keys.join('\n');
}

function fits(expected: EventReference, { digests, meaning }: MeasuredEvent, bank: DigestAlgorithm): boolean {
  if ('meaning' in expected) return expected.meaning === meaning;
  const found = digests[bank];
  return found !== undefined && expected.digests[bank] === found;
}

function fittingVariants(
  { component, variants }: KnownComponent,
  observed: readonly MeasuredEvent[],
  bank: DigestAlgorithm,
): readonly BootVariant[] {
  const key = joined(observed.map(({ digests }) => digests[bank]));
  const found = key === undefined ? undefined : variants.get(key);
  if (found !== undefined) return found;
  if (observed.every(({ meaning }) => meaning === undefined)) return [];
  return component.variants.filter(
    ({ events }) => events.length === observed.length && agreed(events, observed, bank) === observed.length,
  );
}

/** Of a component whose events are judged one by one: those that are none of the variants. */
function strangers(
  { component, names, variants }: KnownComponent,
  observed: readonly MeasuredEvent[],
  bank: DigestAlgorithm,
): BootDifference[] {
  const { name, pcr } = component;
  return observed.flatMap(({ event, digests, meaning }): BootDifference[] => {
    const keys = [meaning === undefined ? undefined : meaningKey(meaning), digests[bank]];
    if (keys.some((key) => key !== undefined && variants.has(key))) return [];
    return [{ kind: 'unknown-variant', component: name, pcr, event: event?.index, known: names }];
  });
}

function misfit(
  { component, names: known }: KnownComponent,
  observed: readonly MeasuredEvent[],
  bank: DigestAlgorithm,
): BootDifference {
  const { name, pcr, variants } = component;
  if (observed.length === 0) return { kind: 'missing', component: name, pcr, known };
  const nearest = variants.reduce((most, { events }) => Math.max(most, agreed(events, observed, bank)), 0);
  return { kind: 'unknown-variant', component: name, pcr, event: observed[nearest]?.event?.index, known };
}

/** How many events from the first on are the same. */
function agreed(events: BootVariant['events'], observed: readonly MeasuredEvent[], bank: DigestAlgorithm): number {
  const differs = observed.findIndex((event, index) => {
    const expected = events[index];
    return expected === undefined || !fits(expected, event, bank);
  });
  return differs === -1 ? observed.length : differs;
}

function untied(component: BootComponent, fitting: ReadonlyMap<string, readonly BootVariant[]>): BootDifference[] {
  const failures = (fitting.get(component.name) ?? []).map((variant) => untiedVariant(component, variant, fitting));
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
    const otherVariant = first.name;
    return [{ kind: 'not-together', component: name, pcr, variant: variant.name, other, otherVariant, allowed }];
  });
}
