/** The boot section of a manifest: read, and in its canonical form. */
import { digestInfo, isDigestAlgorithm } from '../bytes/index.ts';
import type { PcrBank } from '../evidence/index.ts';
import type { BootComponent, BootVariant, EventDigests, EventReference } from './boot/index.ts';
import { byText, sortedKeys } from './canonical.ts';
import {
  hexDigest,
  knownKeys,
  list,
  malformed,
  present,
  record,
  taggedDigest,
  text,
  truth,
  wholeNumber,
} from './check.ts';
import { ManifestError } from './error.ts';
import type { BootEventReference, BootReference } from './types.ts';

const BANKS: readonly PcrBank[] = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3'];
const MAX_EVENTS = 100_000;
const MAX_COMPONENTS = 256;
const MAX_VARIANTS = 65_536;
const MAX_VARIANT_EVENTS = 4096;
/** In all components: what a reference may make the verifier hold. */
const MAX_COMPONENT_EVENTS = 2_000_000;

export function canonicalBoot(boot: BootReference): object {
  const banks = Object.entries(boot.pcrs).map(([bank, pcrs]): [string, object] => [
    bank,
    sortedKeys(Object.fromEntries(Object.entries(pcrs ?? {}).map(([pcr, values]) => [pcr, [...values].sort()]))),
  ]);
  return {
    ...(boot.components === undefined ? {} : { components: byText(boot.components.map(canonicalComponent)) }),
    events: byText(boot.events.map(sortedKeys)),
    pcrs: sortedKeys(Object.fromEntries(banks)),
  };
}

function canonicalComponent(component: BootComponent): object {
  return sortedKeys({ ...component, variants: byText(component.variants.map(canonicalVariant)) });
}

/** The order of a variant's events is that of the log, and stays. */
function canonicalVariant({ name, events, only }: BootVariant): object {
  const ties = Object.entries(only).map(([other, names]): [string, string[]] => [other, [...names].sort()]);
  return {
    events: events.map((event) => ('meaning' in event ? event : { digests: sortedKeys(event.digests) })),
    name,
    only: sortedKeys(Object.fromEntries(ties)),
  };
}

export function bootReference(value: unknown, place: string): BootReference {
  const boot = record(value, place);
  knownKeys(boot, place, ['pcrs', 'events', 'components']);
  const pcrs: Partial<Record<PcrBank, Readonly<Record<string, readonly string[]>>>> = {};
  for (const [name, values] of record(boot.get('pcrs'), `${place}.pcrs`)) {
    const bank = BANKS.find((known) => known === name);
    if (bank === undefined) malformed(`${place}.pcrs.${name}`, `is no PCR bank; use one of ${BANKS.join(', ')}`);
    else pcrs[bank] = pcrReferences(values, bank, `${place}.pcrs.${bank}`);
  }
  return {
    pcrs,
    events: list(boot.get('events'), `${place}.events`, MAX_EVENTS, bootEvent),
    ...present('components', boot, place, bootComponents),
  };
}

function pcrReferences(value: unknown, bank: PcrBank, place: string): Record<string, readonly string[]> {
  const size = digestInfo(bank).size;
  const allowed: Record<string, readonly string[]> = {};
  for (const [pcr, values] of record(value, place)) {
    if (!/^(?:\d|1\d|2[0-3])$/.test(pcr)) malformed(`${place}.${pcr}`, 'is no PCR number (0–23)');
    allowed[pcr] = list(values, `${place}.${pcr}`, 1024, (item, at) => hexDigest(text(item, at), size, at));
  }
  return allowed;
}

function bootEvent(value: unknown, place: string): BootEventReference {
  const event = record(value, place);
  knownKeys(event, place, ['pcr', 'digest', 'description', 'required']);
  const pcr = wholeNumber(event.get('pcr'), `${place}.pcr`);
  if (pcr > 23) malformed(`${place}.pcr`, 'is no PCR number (0–23)');
  return {
    pcr,
    digest: taggedDigest(event.get('digest'), `${place}.digest`),
    description: text(event.get('description'), `${place}.description`),
    required: truth(event.get('required'), `${place}.required`),
  };
}

function bootComponents(value: unknown, place: string): BootComponent[] {
  const components = list(value, place, MAX_COMPONENTS, bootComponent);
  const events = components
    .flatMap(({ variants }) => variants)
    .reduce((sum, { events: { length } }) => sum + length, 0);
  if (events > MAX_COMPONENT_EVENTS) {
    throw new ManifestError('reference.too-large', place, `${events} events, ${MAX_COMPONENT_EVENTS} are allowed`);
  }
  // Only these have a variant to tie to.
  const whole = components.filter(({ match, anything }) => match === 'whole' && anything === undefined);
  const variantsOf = new Map(whole.map(({ name, variants }) => [name, namesOf(variants)]));
  for (const [i, { name, variants }] of components.entries()) {
    if (components.findIndex((other) => other.name === name) !== i) malformed(`${place}[${i}].name`, 'stands twice');
    if (namesOf(variants).size !== variants.length) malformed(`${place}[${i}].variants`, 'has one name twice');
    for (const [j, { only }] of variants.entries()) checkTies(only, variantsOf, `${place}[${i}].variants[${j}].only`);
  }
  return components;
}

function namesOf(variants: readonly BootVariant[]): ReadonlySet<string> {
  return new Set(variants.map(({ name }) => name));
}

function checkTies(
  only: BootVariant['only'],
  variantsOf: ReadonlyMap<string, ReadonlySet<string>>,
  place: string,
): void {
  for (const [component, names] of Object.entries(only)) {
    const known = variantsOf.get(component);
    if (known === undefined) malformed(`${place}.${component}`, "is no component that is judged as a 'whole'");
    const unknown = names.find((name) => !known?.has(name));
    if (unknown !== undefined) malformed(`${place}.${component}`, `has no variant '${unknown}'`);
    if (names.length === 0) malformed(`${place}.${component}`, 'is empty: the variant would go with nothing');
  }
}

function bootComponent(value: unknown, place: string): BootComponent {
  const component = record(value, place);
  knownKeys(component, place, ['name', 'pcr', 'match', 'variants', 'anything']);
  const match = component.get('match');
  if (match !== 'whole' && match !== 'each') return malformed(`${place}.match`, "must be 'whole' or 'each'");
  const variants = list(component.get('variants'), `${place}.variants`, MAX_VARIANTS, bootVariant);
  if (match === 'each') {
    for (const [i, variant] of variants.entries()) checkSingle(variant, `${place}.variants[${i}]`);
  }
  return {
    name: text(component.get('name'), `${place}.name`),
    pcr: pcrNumber(component.get('pcr'), `${place}.pcr`),
    match,
    variants,
    ...present('anything', component, place, text),
  };
}

function checkSingle({ events, only }: BootVariant, place: string): void {
  if (events.length !== 1) malformed(`${place}.events`, "must be one event where match is 'each'");
  if (Object.keys(only).length > 0) malformed(`${place}.only`, "must be empty where match is 'each'");
}

function bootVariant(value: unknown, place: string): BootVariant {
  const variant = record(value, place);
  knownKeys(variant, place, ['name', 'events', 'only']);
  const only: Record<string, readonly string[]> = {};
  for (const [other, names] of record(variant.get('only'), `${place}.only`)) {
    only[other] = list(names, `${place}.only.${other}`, MAX_VARIANTS, text);
  }
  const events = list(variant.get('events'), `${place}.events`, MAX_VARIANT_EVENTS, eventReference);
  return { name: text(variant.get('name'), `${place}.name`), events, only };
}

function eventReference(value: unknown, place: string): EventReference {
  const event = record(value, place);
  if (event.has('meaning')) {
    knownKeys(event, place, ['meaning']);
    return { meaning: text(event.get('meaning'), `${place}.meaning`) };
  }
  knownKeys(event, place, ['digests']);
  return { digests: eventDigests(event.get('digests'), `${place}.digests`) };
}

function eventDigests(value: unknown, place: string): EventDigests {
  const digests: { -readonly [bank in keyof EventDigests]: string } = {};
  for (const [bank, hex] of record(value, place)) {
    if (!isDigestAlgorithm(bank)) return malformed(`${place}.${bank}`, 'is no digest algorithm that is supported');
    digests[bank] = hexDigest(text(hex, `${place}.${bank}`), digestInfo(bank).size, `${place}.${bank}`);
  }
  return digests;
}

function pcrNumber(value: unknown, place: string): number {
  const pcr = wholeNumber(value, place);
  return pcr > 23 ? malformed(place, 'is no PCR number (0–23)') : pcr;
}
