/** What observed boots consist of: components, each with the variants that a fleet was seen to have. */
import { type BootLog, type DecodedEvent, decodeLog, isExtended } from '../../boot/index.ts';
import { type DigestAlgorithm, toHex } from '../../bytes/index.ts';

/** One event's digests in lower-case hex, by bank. */
export type EventDigests = Readonly<Partial<Record<DigestAlgorithm, string>>>;

export interface BootVariant {
  /** Unique in its component: `1`, `2` … in the order in which they were first seen. */
  readonly name: string;
  /** The component's events in the log's order; none: a boot without this component. */
  readonly events: readonly EventDigests[];
  /** Component → the variants of it that this one goes with; a component that is not named goes with any. */
  readonly only: Readonly<Record<string, readonly string[]>>;
}

/** A part of the boot in one PCR, so that a PCR that the quote does not prove takes nothing else with it. */
export interface BootComponent {
  /** `initrd (PCR 9)`: unique in the reference. */
  readonly name: string;
  readonly pcr: number;
  readonly variants: readonly BootVariant[];
}

/** Linux: drivers/firmware/efi/libstub/efi-stub-helper.c. */
const INITRD_TAG = 0x8f3b22ec;
const LOAD_OPTIONS_TAG = 0x8f3b22ed;
const KEY_VARIABLES: ReadonlySet<string> = new Set(['SecureBoot', 'PK', 'KEK', 'db', 'dbx', 'dbt', 'dbr']);
const PCR_COMPONENTS: ReadonlyMap<number, string> = new Map([
  [0, 'firmware'],
  [1, 'firmware settings'],
  [2, 'option ROMs'],
  [3, 'option ROM settings'],
  [4, 'boot applications'],
  [5, 'partition table and boot path'],
  [6, 'host-specific events'],
  [7, 'Secure Boot authorities'],
  [8, 'boot loader commands'],
  [9, 'boot loader files'],
  [11, 'unified kernel image'],
  [12, 'command line'],
  [13, 'system extensions'],
  [14, 'shim’s variables'],
]);

/**
 * Types and names here are not vouched for: an event that lies about them lands in another component, where its digest
 * is in no variant.
 */
function componentOf({ pcr, payload }: DecodedEvent): string {
  return `${partOf(pcr, payload) ?? PCR_COMPONENTS.get(pcr) ?? 'events'} (PCR ${pcr})`;
}

function partOf(pcr: number, payload: DecodedEvent['payload']): string | undefined {
  if (pcr === 7 && payload.kind === 'variable' && KEY_VARIABLES.has(payload.name)) return 'Secure Boot keys';
  if (payload.kind === 'ipl' && payload.role === 'kernel-cmdline') return 'command line';
  if (payload.kind !== 'tagged') return undefined;
  if (payload.id === INITRD_TAG) return 'initrd';
  return payload.id === LOAD_OPTIONS_TAG ? 'command line' : undefined;
}

export interface ObservedComponent {
  readonly pcr: number;
  readonly events: readonly { readonly index: number; readonly digests: EventDigests }[];
}

/** A log's extended events by component's name. */
export function observeComponents(log: BootLog): ReadonlyMap<string, ObservedComponent> {
  const decoded = decodeLog(log);
  const found = new Map<string, { pcr: number; events: { index: number; digests: EventDigests }[] }>();
  for (const [position, event] of log.events.entries()) {
    const meaning = decoded[position];
    if (meaning === undefined || !isExtended(event)) continue;
    const name = componentOf(meaning);
    const component = found.get(name) ?? { pcr: event.pcr, events: [] };
    found.set(name, component);
    const digests: Partial<Record<DigestAlgorithm, string>> = {};
    for (const { algorithm, value } of event.digests) if (algorithm !== undefined) digests[algorithm] = toHex(value);
    component.events.push({ index: event.index, digests });
  }
  return found;
}
