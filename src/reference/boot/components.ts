/** What a boot is expected to consist of: components, each with the variants that are allowed. */
import type { DigestAlgorithm } from '../../bytes/index.ts';

/** One event's digests in lower-case hex, by bank. */
export type EventDigests = Readonly<Partial<Record<DigestAlgorithm, string>>>;

/**
 * One expected event: by its digest, or by what it means (`meaning.ts`). A meaning is compared only where the event's
 * digest in the quoted bank vouches for its payload; everything else about the event may then differ.
 */
export type EventReference = { readonly digests: EventDigests } | { readonly meaning: string };

export interface BootVariant {
  /** Unique in its component, for people: `shim 15.8-1 (Debian)`, `on`, `N24ET56W`; where nothing tells it, a number. */
  readonly name: string;
  /** The component's events in the log's order; none: a boot without this component. */
  readonly events: readonly EventReference[];
  /** Component → the variants of it that this one goes with; a component that is not named goes with any. */
  readonly only: Readonly<Record<string, readonly string[]>>;
}

/** A part of the boot in one PCR, so that a PCR that the quote does not prove takes nothing else with it. */
export interface BootComponent {
  /** `initrd (PCR 9)`: unique in the reference. */
  readonly name: string;
  readonly pcr: number;
  /**
   * `whole`: the component's events together are one of the variants. `each`: every event is one of them, in any number and
   * order: what is there differs from boot to boot (boot options of whatever is plugged in).
   */
  readonly match: 'whole' | 'each';
  readonly variants: readonly BootVariant[];
  /** The component is not judged, for this reason; the verdict says so. */
  readonly anything?: string;
}

/** The PCRs that components judge: all that is measured into one of them must belong to a component. */
export function componentPcrs(components: readonly BootComponent[]): ReadonlySet<number> {
  return new Set(components.map(({ pcr }) => pcr));
}

/** True where a component can be judged in this bank. */
export function hasComponentsIn(components: readonly BootComponent[], bank: string): boolean {
  return components.some(({ variants }) =>
    variants.some(({ events }) => events.some((event) => 'meaning' in event || Object.hasOwn(event.digests, bank))),
  );
}
