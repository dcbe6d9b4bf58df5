/** A log's events as components. */
import { type BootEvent, type BootLog, decodeEvent, isExtended, logBanks } from '../../boot/index.ts';
import { type DigestAlgorithm, digestInfo, toHex } from '../../bytes/index.ts';
import type { BootComponent, EventDigests, EventReference } from './components.ts';
import { bootOptionMeanings } from './meaning.ts';
import {
  componentName,
  IMAGE,
  isLoaderFile,
  isOfKernel,
  LOADER_IMAGE,
  type Part,
  partOfEvent,
  partsOfImages,
} from './parts.ts';
import { optionPcrs, type Quirk, quirksOf } from './quirks.ts';

/** One measured event of a boot, observed or predicted. */
export interface MeasuredEvent {
  readonly pcr: number;
  readonly part: Part;
  /** The log's; undefined where it is predicted. */
  readonly event: BootEvent | undefined;
  readonly digests: EventDigests;
  readonly meaning: string | undefined;
  /** What it is, where the maker of a prediction knows. */
  readonly label?: string;
}

export interface ObservedComponent {
  /** Without its PCR. */
  readonly part: string;
  readonly pcr: number;
  readonly match: BootComponent['match'];
  readonly events: readonly MeasuredEvent[];
}

/** The bank with the longest digests: by it an approved log's payloads are vouched for. */
function strongestBank(log: BootLog): DigestAlgorithm {
  const [first = 'sha1', ...others] = logBanks(log);
  return others.reduce((best, bank) => (digestInfo(bank).size > digestInfo(best).size ? bank : best), first);
}

/**
 * The extended events of a log, each with its part.
 * @param bank whose digests vouch for payloads
 * @param onlyBank leave out the digests of other banks
 */
export function measuredEvents(
  log: BootLog,
  bank: DigestAlgorithm,
  quirks: readonly Quirk[],
  onlyBank = false,
): MeasuredEvent[] {
  const pcrs = optionPcrs(quirks);
  const extended = log.events.filter(isExtended).map((event) => ({ event, part: partOfEvent(event, pcrs) }));
  const options = extended.filter(({ part }) => part.match === 'each').map(({ event }) => event);
  const lastImage = extended.findLast(({ part }) => part === IMAGE);
  const isLoader = lastImage !== undefined && isLoaderFile(imagePath(lastImage.event, log));
  const meanings = options.length === 0 ? undefined : bootOptionMeanings(options, log, bank);
  return extended.map(({ event, part }) => ({
    pcr: event.pcr,
    part: isLoader && event === lastImage?.event ? LOADER_IMAGE : part,
    event,
    digests: digestsOf(event, onlyBank ? bank : undefined),
    meaning: meanings?.get(event.index),
  }));
}

function imagePath(event: BootEvent, log: BootLog): string {
  const { payload } = decodeEvent(event, log);
  return payload.kind === 'image-load' ? (payload.devicePath.file ?? '') : '';
}

/** The events of a log that is approved: each payload is vouched for by the strongest bank. */
export function observedEvents(log: BootLog): MeasuredEvent[] {
  return measuredEvents(log, strongestBank(log), approvedQuirks(log));
}

const ALL_PCRS: ReadonlySet<number> = new Set(Array.from({ length: 24 }, (_, pcr) => pcr));

/** The quirks of a log whose PCRs nobody doubts. */
export function approvedQuirks(log: BootLog): readonly Quirk[] {
  return quirksOf(log, strongestBank(log), ALL_PCRS);
}

function digestsOf({ digests }: BootEvent, only: DigestAlgorithm | undefined): EventDigests {
  const found: Partial<Record<DigestAlgorithm, string>> = {};
  for (const { algorithm, value } of digests) {
    if (algorithm !== undefined && (only === undefined || algorithm === only)) found[algorithm] = toHex(value);
  }
  return found;
}

const isImage = ({ part }: MeasuredEvent): boolean => part === IMAGE || part === LOADER_IMAGE;

/** Events by component's name, in their order. */
export function groupByComponent(events: readonly MeasuredEvent[]): ReadonlyMap<string, ObservedComponent> {
  const images = events.filter(isImage);
  const parts = partsOfImages(
    images.map(({ digests }) => Object.values(digests).join()),
    images.at(-1)?.part !== LOADER_IMAGE && events.some(({ part }) => isOfKernel(part.name)),
  );
  const found = new Map<
    string,
    { part: string; pcr: number; match: BootComponent['match']; events: MeasuredEvent[] }
  >();
  let image = 0;
  for (const event of events) {
    const part = isImage(event) ? (parts[image++] ?? event.part) : event.part;
    const name = componentName(part.name, event.pcr);
    const component = found.get(name) ?? { part: part.name, pcr: event.pcr, match: part.match, events: [] };
    found.set(name, component);
    component.events.push(event);
  }
  return found;
}

/** How an event is expected: by its meaning, where it has one. */
export function referenceTo({ digests, meaning }: MeasuredEvent): EventReference {
  return meaning === undefined ? { digests } : { meaning };
}
