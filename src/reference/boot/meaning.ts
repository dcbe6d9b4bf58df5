/**
 * What a boot option means, whatever its number: firmware renumbers options, lists what is plugged in, and names partitions
 * and network cards of the one machine. Which program was started in the end is in PCR 4.
 */
import {
  type BootEvent,
  type BootLog,
  type DecodedEvent,
  decodeEvent,
  type LoadOption,
  type Variable,
} from '../../boot/index.ts';
import { type DigestAlgorithm, digest, toHex } from '../../bytes/index.ts';

/** In a description; never a part of a GUID. */
const MAC_ADDRESS =
  /(?<![0-9a-f-])(?:[0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}|[0-9a-f]{12})(?![0-9a-f-])/gi;
/** Well below what a manifest's text may have; a machine with forty options has an order of 8000 characters. */
const LONGEST_MEANING = 1024;
/** A machine with more options than this is none; such an order is compared by its digest. */
const MAX_ENTRIES = 1024;
const ACTIVE = 0x1;
const HIDDEN = 0x8;

/**
 * The meaning of each boot option and boot order among these events, by index; only of those whose digest in `bank` is over
 * their payload. Others are compared by digest.
 *
 * Much firmware hashes a boot variable's data without its name. Then an option still means what its data say, but nobody
 * vouches for its number: a boot order is then no more than the numbers that it lists.
 */
export function bootOptionMeanings(
  events: readonly BootEvent[],
  log: BootLog,
  bank: DigestAlgorithm,
): ReadonlyMap<number, string> {
  const decoded = events.map((event) => ({ event, variable: vouchedVariable(decodeEvent(event, log, bank)) }));
  const named = new Map<string, string>();
  const meanings = new Map<number, string>();
  /** Each is measured once: an order's meaning is far longer than the order. */
  const orders = new Set<string>();
  for (const { event, variable } of decoded) {
    if (variable?.value?.kind !== 'load-option') continue;
    const meaning = optionMeaning(variable.value);
    meanings.set(event.index, bounded(`boot option ${meaning}`));
    if (isWholeHashed(event, bank)) named.set(variable.name, bounded(meaning));
  }
  for (const { event, variable } of decoded) {
    if (variable?.value?.kind !== 'boot-order' || orders.has(variable.name)) continue;
    orders.add(variable.name);
    const { entries } = variable.value;
    if (entries.length > MAX_ENTRIES) continue;
    const isNamed = isWholeHashed(event, bank);
    const texts = entries.map((entry) => (isNamed ? (named.get(entry) ?? entry) : entry));
    meanings.set(event.index, bounded(`${isNamed ? variable.name : 'boot order'} ${texts.join(', ')}`));
  }
  return meanings;
}

function bounded(meaning: string): string {
  if (meaning.length <= LONGEST_MEANING) return meaning;
  return `${meaning.slice(0, LONGEST_MEANING)}… sha256:${toHex(digest('sha256', Buffer.from(meaning)))}`;
}

function vouchedVariable({ vouched, payload }: DecodedEvent): Variable | undefined {
  return vouched === 'digest' && payload.kind === 'variable' ? payload : undefined;
}

function isWholeHashed({ digests, data }: BootEvent, bank: DigestAlgorithm): boolean {
  const value = digests.find(({ algorithm }) => algorithm === bank)?.value;
  return value !== undefined && digest(bank, data).equals(value);
}

/** Texts are quoted as JSON has it, so that no description can look like a path. */
function optionMeaning({ attributes, active, description, devicePath, otherPaths, optionalData }: LoadOption): string {
  const others = attributes & ~ACTIVE;
  const paths = [devicePath, ...otherPaths].map(({ text }) => JSON.stringify(anyMachine(text)));
  return [
    JSON.stringify(description.replaceAll(MAC_ADDRESS, 'MAC')),
    `at ${paths.join(' or ')}`,
    ...(active ? [] : ['inactive']),
    ...(others === 0 ? [] : [others === HIDDEN ? 'hidden' : `attributes 0x${others.toString(16)}`]),
    ...(optionalData.length === 0 ? [] : [`with sha256:${toHex(digest('sha256', optionalData))}`]),
  ].join(' ');
}

/** Without what names the one disk, partition or network card. */
function anyMachine(path: string): string {
  return path
    .replaceAll(/\bHD\((\d+),(GPT|MBR),[^)]*\)/g, 'HD($1,$2)')
    .replaceAll(/\bNVMe\((0x[0-9A-F]+),[^)]*\)/gi, 'NVMe($1)')
    .replaceAll(/\bMAC\([^)]*\)/g, 'MAC()');
}
