/** Do two TPMs answer alike: in structure, and in all that is not random or the maker's? */
import { decode, TPM_PT, TPMS_ATTEST } from '../../src/tpm/index.ts';
import { elementsOf } from '../../src/vtpm/software/der.ts';

/** Values of their own: time, what is obfuscated by a secret, what tells the maker, and what a TPM has tested yet. */
const FREE: ReadonlySet<string> = new Set(['clock', 'time', 'safe', 'firmwareVersion', 'toDoList']);
/** Counters that attestations show shifted. */
const OBFUSCATED: ReadonlySet<string> = new Set(['resetCount', 'restartCount']);

const ATTESTATIONS: ReadonlySet<string> = new Set(['certifyInfo', 'quoted', 'timeInfo', 'auditInfo']);

/** What a maker fills in as it likes (Part 2, 6.13). */
const MAKERS: ReadonlySet<number> = new Set([
  TPM_PT.MANUFACTURER,
  ...[0, 1, 2, 3].map((i) => TPM_PT.VENDOR_STRING_1 + i),
  TPM_PT.FIRMWARE_VERSION_1,
  TPM_PT.FIRMWARE_VERSION_2,
]);

export interface ComparisonOptions {
  /** Bytes are compared, too, and not only their number. */
  readonly isExact: boolean;
}

/** Where two decoded responses differ, as paths; none where they are alike. */
export function differences(a: unknown, b: unknown, options: ComparisonOptions): string[] {
  return compare(a, b, [], options, false);
}

function compare(
  a: unknown,
  b: unknown,
  path: readonly string[],
  options: ComparisonOptions,
  isAttested: boolean,
): string[] {
  const leaf = path.at(-1) ?? '';
  if (FREE.has(leaf) || (isAttested && OBFUSCATED.has(leaf))) return [];
  if (a instanceof Uint8Array && b instanceof Uint8Array) return compareBytes(a, b, path, options);
  if (Array.isArray(a) && Array.isArray(b) && a.length !== b.length)
    return [`${path.join('.')} has ${a.length} | ${b.length}`];
  if (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null) {
    return compareFields(Object.entries(a), new Map(Object.entries(b)), path, options, isAttested);
  }
  return Object.is(a, b) ? [] : [`${path.join('.')}: ${String(a)} | ${String(b)}`];
}

function compareFields(
  entries: readonly (readonly [string, unknown])[],
  others: ReadonlyMap<string, unknown>,
  path: readonly string[],
  options: ComparisonOptions,
  isAttested: boolean,
): string[] {
  const names = entries.map(([name]) => name);
  const missing = [...others.keys()].filter((name) => !names.includes(name));
  const property = others.get('property');
  if (typeof property === 'number' && MAKERS.has(property)) return [];
  return [
    ...missing.map((name) => `${[...path, name].join('.')} is missing`),
    ...entries.flatMap(([name, value]) => compare(value, others.get(name), [...path, name], options, isAttested)),
  ];
}

/** The serial number is a digest: as a number it has no leading zeros. */
function tagsOf(sequence: Uint8Array): readonly number[] {
  const [whole] = elementsOf(sequence) ?? [];
  return (whole === undefined ? undefined : elementsOf(whole.content))?.map(({ tag }) => tag) ?? [];
}

function compareBytes(a: Uint8Array, b: Uint8Array, path: readonly string[], options: ComparisonOptions): string[] {
  const leaf = path.at(-1) ?? '';
  // What a saved context holds is the maker's affair
  if (leaf === 'contextBlob') return [];
  if (ATTESTATIONS.has(leaf)) return compare(decode(TPMS_ATTEST, a), decode(TPMS_ATTEST, b), path, options, true);
  if (leaf === 'addedToCertificate') return compare(tagsOf(a), tagsOf(b), path, options, false);
  // A nonce of ECDAA is a number without leading zeros
  if (leaf === 'signatureR' && Math.abs(a.length - b.length) <= 2) return [];
  if (a.length !== b.length) return [`${path.join('.')} has ${a.length} bytes | ${b.length}`];
  return options.isExact && !Buffer.from(a).equals(b) ? [`${path.join('.')} differs`] : [];
}
