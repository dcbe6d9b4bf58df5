/** Boots of a fleet, observed or predicted, become one reference. */
import type { BootLog } from '../../boot/index.ts';
import { ManifestError } from '../error.ts';
import type { BootComponent, BootVariant, EventReference } from './components.ts';
import {
  approvedQuirks,
  groupByComponent,
  type MeasuredEvent,
  type ObservedComponent,
  observedEvents,
  referenceTo,
} from './observe.ts';
import { componentName } from './parts.ts';
import type { Quirk } from './quirks.ts';
import { type ImageNames, variantName } from './variant-names.ts';

/** Above this, what differs from boot to boot is no part to name variants of. */
export const MAX_VARIANTS = 65_536;
/** The firmware's and boot loader's: what no approved boot measures there, no boot may. */
const ALWAYS_JUDGED = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/** A variant goes only with those of these components that it was seen with. */
const TIES: readonly { readonly from: RegExp; readonly to: readonly string[] }[] = [
  // What a kernel's update brings with it, and whether Secure Boot checked it.
  {
    from: /^kernel \(/,
    to: ['initrd (PCR 9)', 'boot loader files (PCR 9)', 'unified kernel image (PCR 11)', 'Secure Boot (PCR 7)'],
  },
  { from: /^boot loader \d+ \(/, to: ['Secure Boot (PCR 7)'] },
  // A machine's settings and cards are those of its model and firmware.
  { from: /^(?:firmware settings|option ROMs) \(/, to: ['firmware (PCR 0)'] },
];
const TIED: ReadonlySet<string> = new Set(TIES.flatMap(({ to }) => to));
const isTied = (name: string): boolean => TIED.has(name) || TIES.some(({ from }) => from.test(name));

interface DraftVariant {
  readonly name: string | undefined;
  readonly events: readonly EventReference[];
}

interface Draft {
  readonly pcr: number;
  readonly match: BootComponent['match'];
  /** By their key, in the order in which they were first seen. */
  readonly variants: Map<string, DraftVariant & { readonly index: number }>;
}

/**
 * Takes boots one after another; memory grows with what differs between them, not with their number.
 */
export class BootMerger {
  readonly #images: ImageNames;
  readonly #drafts = new Map<string, Draft>();
  /** Which variants of tied components were seen together: for each such boot, `component=index` of each. */
  readonly #seen = new Map<string, ReadonlyMap<string, number>>();
  readonly #quirks = new Set<Quirk>();
  #boots = 0;

  /** @param images names of images whose files were at hand */
  constructor(images: ImageNames = new Map()) {
    this.#images = images;
  }

  get boots(): number {
    return this.#boots;
  }

  /** Quirks that were used on what was added. */
  get quirks(): readonly Quirk[] {
    return [...this.#quirks];
  }

  /**
   * A boot that is approved as it is.
   * @throws {ManifestError} `reference.too-large` above {@link MAX_VARIANTS} of one component
   */
  addLog(log: BootLog): void {
    for (const quirk of approvedQuirks(log)) this.#quirks.add(quirk);
    this.addEvents(observedEvents(log), log);
  }

  /** @param log what the events stand in, to name variants by; undefined for a prediction */
  addEvents(events: readonly MeasuredEvent[], log?: BootLog): void {
    const boot = groupByComponent(events);
    for (const [name, { pcr, match }] of boot) {
      if (this.#drafts.has(name)) continue;
      const draft: Draft = { pcr, match, variants: new Map() };
      this.#drafts.set(name, draft);
      // The boots before were without it.
      if (match === 'whole' && this.#boots > 0) this.#variant(name, draft, absent(pcr, name), undefined);
    }
    this.#boots += 1;
    const chosen = new Map<string, number>();
    for (const [name, draft] of this.#drafts) {
      const observed = boot.get(name) ?? absent(draft.pcr, name);
      if (draft.match === 'each') {
        for (const event of observed.events) this.#variant(name, draft, { ...observed, events: [event] }, log);
      } else {
        const index = this.#variant(name, draft, observed, log);
        if (isTied(name)) chosen.set(name, index);
      }
    }
    this.#seen.set([...chosen].map(([name, index]) => `${name}=${index}`).join('\n'), chosen);
  }

  #variant(name: string, { variants }: Draft, observed: ObservedComponent, log: BootLog | undefined): number {
    const events = observed.events.map(referenceTo);
    const key = JSON.stringify(events);
    const known = variants.get(key);
    if (known !== undefined) return known.index;
    if (variants.size >= MAX_VARIANTS) {
      throw new ManifestError('reference.too-large', `component '${name}'`, `more than ${MAX_VARIANTS} variants`);
    }
    const index = variants.size;
    variants.set(key, { index, name: variantName(observed, log, this.#images), events });
    return index;
  }

  /**
   * @param pcrs left out: every PCR that was seen, and PCR 0–9
   * @param leaveOut component → why nothing of it is to be judged
   */
  finish(pcrs?: ReadonlySet<number>, leaveOut: ReadonlyMap<string, string> = new Map()): readonly BootComponent[] {
    const names = new Map([...this.#drafts].map(([name, draft]) => [name, uniqueNames([...draft.variants.values()])]));
    const found = [...this.#drafts].map(([name, { pcr, match, variants }]): BootComponent => {
      const own = names.get(name) ?? [];
      return {
        name,
        pcr,
        match,
        variants: [...variants.values()].map(
          ({ events, index }): BootVariant => ({
            name: own[index] ?? String(index + 1),
            events,
            only: this.#conditions(name, index, names),
          }),
        ),
      };
    });
    const extended = new Set(found.map(({ pcr }) => pcr));
    const untouched = ALWAYS_JUDGED.filter((pcr) => !extended.has(pcr)).map(nothingIn);
    const wanted = [...found, ...untouched].filter(({ pcr }) => pcrs?.has(pcr) ?? true);
    const judged = new Set(wanted.map(({ name }) => name).filter((name) => !leaveOut.has(name)));
    return wanted.map((component) => {
      const anything = leaveOut.get(component.name);
      const variants = component.variants.map((variant) => ({ ...variant, only: onlyOf(variant, judged) }));
      return anything === undefined ? { ...component, variants } : { ...component, variants: [], anything };
    });
  }

  #conditions(name: string, index: number, names: ReadonlyMap<string, readonly string[]>): BootVariant['only'] {
    const only: Record<string, readonly string[]> = {};
    for (const other of TIES.filter(({ from }) => from.test(name)).flatMap(({ to }) => to)) {
      const all = names.get(other);
      if (all === undefined) continue;
      const seen = new Set<number>();
      for (const chosen of this.#seen.values()) {
        // A component that came later was absent before: its first variant.
        if ((chosen.get(name) ?? 0) === index) seen.add(chosen.get(other) ?? 0);
      }
      if (seen.size < all.length) only[other] = [...seen].sort((a, b) => a - b).flatMap((each) => all[each] ?? []);
    }
    return only;
  }
}

/** Without ties to what is not judged. */
function onlyOf({ only }: BootVariant, judged: ReadonlySet<string>): BootVariant['only'] {
  return Object.fromEntries(Object.entries(only).filter(([component]) => judged.has(component)));
}

function absent(pcr: number, name: string): ObservedComponent {
  return { part: name, pcr, match: 'whole', events: [] };
}

function nothingIn(pcr: number): BootComponent {
  return {
    name: componentName('nothing', pcr),
    pcr,
    match: 'whole',
    variants: [{ name: 'none', events: [], only: {} }],
  };
}

/** What is told alike is numbered; what nothing tells is its number. */
function uniqueNames(variants: readonly DraftVariant[]): readonly string[] {
  const used = new Set<string>();
  return variants.map(({ name }, index) => {
    const wanted = name ?? String(index + 1);
    let unique = wanted;
    for (let copy = 2; used.has(unique); copy++) unique = `${wanted} (${copy})`;
    used.add(unique);
    return unique;
  });
}

/** @param logs boots that are approved as they are; equal parts become one variant */
export function mergeBoots(logs: Iterable<BootLog>): readonly BootComponent[] {
  const merger = new BootMerger();
  for (const log of logs) merger.addLog(log);
  return merger.finish();
}
