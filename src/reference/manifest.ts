/** Reads a manifest: every value checked, every key known; and its canonical form, from which its identity comes. */
import { digest, digestInfo, isDigestAlgorithm, toHex } from '../bytes/index.ts';
import type { PcrBank } from '../evidence/index.ts';
import { ManifestError } from './error.ts';
import { countWildcards, isExactPath, MAX_DOUBLE_STARS, MAX_STARS } from './glob.ts';
import type {
  BootEventReference,
  BootReference,
  DenyRule,
  FileReference,
  PendingFile,
  ReferenceManifest,
  TaggedDigest,
} from './types.ts';

/** A distribution's whole file list with two digests each has some 60 MB. */
export const MAX_MANIFEST_BYTES = 256 * 1024 * 1024;
const MAX_FILES = 2_000_000;
const MAX_RULES = 100_000;
const MAX_TEXT = 4096;
const PENDING_REASONS = ['unpackaged', 'modified', 'no-checksum', 'replaced'] as const;
const BANKS: readonly PcrBank[] = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3'];

/** @throws {ManifestError} with the JSONPath of what is wrong */
export function parseManifest(json: string): ReferenceManifest {
  if (json.length > MAX_MANIFEST_BYTES) {
    throw new ManifestError('reference.too-large', '$', `${json.length} characters, ${MAX_MANIFEST_BYTES} are allowed`);
  }
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new ManifestError('reference.malformed', '$', `not JSON: ${detail}`);
  }
  return checkManifest(value);
}

/** Checks a manifest that was parsed elsewhere. @throws {ManifestError} */
export function checkManifest(value: unknown): ReferenceManifest {
  const root = record(value, '$');
  if (root.get('assayReference') !== 1) {
    const known = root.has('assayReference');
    const detail = known ? 'only version 1 is known' : 'is missing: this is no reference manifest';
    throw new ManifestError(known ? 'reference.unknown-version' : 'reference.malformed', '$.assayReference', detail);
  }
  knownKeys(root, '$', [
    'assayReference',
    'name',
    'created',
    'self',
    'validUntil',
    'boot',
    'files',
    'pending',
    'violations',
    'deny',
  ]);
  return {
    assayReference: 1,
    name: text(root.get('name'), '$.name'),
    created: text(root.get('created'), '$.created'),
    self: truth(root.get('self'), '$.self'),
    ...present('validUntil', root, '$', wholeNumber),
    ...present('boot', root, '$', bootReference),
    files: list(root.get('files'), '$.files', MAX_FILES, fileReference),
    pending: list(root.get('pending'), '$.pending', MAX_FILES, pendingFile),
    ...present('violations', root, '$', (item, place) => list(item, place, MAX_RULES, pattern)),
    deny: list(root.get('deny'), '$.deny', MAX_RULES, denyRule),
  };
}

/** One text for equal manifests: keys in a fixed order, lists sorted, digests in lower case. */
export function canonicalManifest(manifest: ReferenceManifest): string {
  const files = manifest.files.map((file) => sortedKeys({ ...file, digests: [...file.digests].sort() }));
  return JSON.stringify({
    ...sortedKeys(manifest),
    ...(manifest.boot === undefined ? {} : { boot: canonicalBoot(manifest.boot) }),
    files: byText(files),
    pending: byText(manifest.pending.map(sortedKeys)),
    ...(manifest.violations === undefined ? {} : { violations: [...manifest.violations].sort() }),
    deny: byText(manifest.deny.map(sortedKeys)),
  });
}

/** SHA-256 of the canonical form, hex. */
export function manifestId(manifest: ReferenceManifest): string {
  return toHex(digest('sha256', Buffer.from(canonicalManifest(manifest))));
}

function canonicalBoot(boot: BootReference): object {
  const banks = Object.entries(boot.pcrs).map(([bank, pcrs]): [string, object] => [
    bank,
    sortedKeys(Object.fromEntries(Object.entries(pcrs ?? {}).map(([pcr, values]) => [pcr, [...values].sort()]))),
  ]);
  return { events: byText(boot.events.map(sortedKeys)), pcrs: sortedKeys(Object.fromEntries(banks)) };
}

function sortedKeys<T extends object>(value: T): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function byText(items: readonly object[]): unknown[] {
  return items
    .map((item) => JSON.stringify(item))
    .sort()
    .map((item): unknown => JSON.parse(item));
}

function fileReference(value: unknown, place: string): FileReference {
  const file = record(value, place);
  knownKeys(file, place, ['path', 'digests', 'origin']);
  const digests = list(file.get('digests'), `${place}.digests`, 64, taggedDigest);
  if (digests.length === 0) malformed(`${place}.digests`, 'is empty: a file without digests would allow nothing');
  return { path: pattern(file.get('path'), `${place}.path`), digests, ...present('origin', file, place, text) };
}

function pendingFile(value: unknown, place: string): PendingFile {
  const file = record(value, place);
  knownKeys(file, place, ['path', 'digest', 'reason', 'origin']);
  const reason = PENDING_REASONS.find((known) => known === file.get('reason'));
  if (reason === undefined) return malformed(`${place}.reason`, `must be one of ${PENDING_REASONS.join(', ')}`);
  return {
    path: text(file.get('path'), `${place}.path`),
    digest: taggedDigest(file.get('digest'), `${place}.digest`),
    reason,
    ...present('origin', file, place, text),
  };
}

function denyRule(value: unknown, place: string): DenyRule {
  const rule = record(value, place);
  knownKeys(rule, place, ['path', 'digest', 'reason']);
  if (!rule.has('path') && !rule.has('digest')) malformed(place, 'names neither a path nor a digest');
  return {
    ...present('path', rule, place, pattern),
    ...present('digest', rule, place, taggedDigest),
    reason: text(rule.get('reason'), `${place}.reason`),
  };
}

function bootReference(value: unknown, place: string): BootReference {
  const boot = record(value, place);
  knownKeys(boot, place, ['pcrs', 'events']);
  const pcrs: Partial<Record<PcrBank, Readonly<Record<string, readonly string[]>>>> = {};
  for (const [name, values] of record(boot.get('pcrs'), `${place}.pcrs`)) {
    const bank = BANKS.find((known) => known === name);
    if (bank === undefined) malformed(`${place}.pcrs.${name}`, `is no PCR bank; use one of ${BANKS.join(', ')}`);
    else pcrs[bank] = pcrReferences(values, bank, `${place}.pcrs.${bank}`);
  }
  return { pcrs, events: list(boot.get('events'), `${place}.events`, MAX_RULES, bootEvent) };
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

function taggedDigest(value: unknown, place: string): TaggedDigest {
  const match = /^(verity:)?([a-z0-9-]+):([0-9a-fA-F]+)$/.exec(text(value, place));
  if (match === null) return malformed(place, "must be '<algorithm>:<hex>'");
  const [, verity = '', algorithm = '', hex = ''] = match;
  if (!isDigestAlgorithm(algorithm)) return malformed(place, `digest algorithm '${algorithm}' is not supported`);
  return `${verity}${algorithm}:${hexDigest(hex, digestInfo(algorithm).size, place)}`;
}

function hexDigest(value: string, size: number, place: string): string {
  if (value.length !== size * 2 || /[^0-9a-fA-F]/.test(value)) malformed(place, `must be ${size * 2} hex digits`);
  return value.toLowerCase();
}

/** A path, or a glob: from the root, or `**` first. */
function pattern(value: unknown, place: string): string {
  const path = text(value, place);
  if (!path.startsWith('/') && !path.startsWith('**')) malformed(place, "must begin with '/' (or '**')");
  if (isExactPath(path)) return path;
  const { stars, doubleStars } = countWildcards(path);
  if (stars > MAX_STARS || doubleStars > MAX_DOUBLE_STARS) {
    const detail = `${stars} '*' and ${doubleStars} '**', ${MAX_STARS} and ${MAX_DOUBLE_STARS} are allowed`;
    throw new ManifestError('reference.too-large', place, detail);
  }
  return path;
}

function text(value: unknown, place: string): string {
  if (typeof value !== 'string') return malformed(place, value === undefined ? 'is missing' : 'must be text');
  if (value.length > MAX_TEXT) {
    throw new ManifestError('reference.too-large', place, `${value.length} characters, ${MAX_TEXT} are allowed`);
  }
  if (value.includes('\0')) malformed(place, 'holds a NUL, which no path has');
  return value;
}

function truth(value: unknown, place: string): boolean {
  return typeof value === 'boolean' ? value : malformed(place, 'must be true or false');
}

function wholeNumber(value: unknown, place: string): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? value
    : malformed(place, 'must be a whole number');
}

function list<T>(value: unknown, place: string, max: number, item: (value: unknown, place: string) => T): T[] {
  if (!Array.isArray(value)) return malformed(place, value === undefined ? 'is missing' : 'must be a list');
  if (value.length > max) {
    throw new ManifestError('reference.too-large', place, `${value.length} items, ${max} are allowed`);
  }
  return value.map((each: unknown, i) => item(each, `${place}[${i}]`));
}

function record(value: unknown, place: string): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return malformed(place, 'must be an object');
  return new Map(Object.entries(value));
}

function knownKeys(value: ReadonlyMap<string, unknown>, place: string, known: readonly string[]): void {
  for (const key of value.keys()) if (!known.includes(key)) malformed(`${place}.${key}`, 'is not known');
}

function present<K extends string, T>(
  key: K,
  value: ReadonlyMap<string, unknown>,
  place: string,
  read: (value: unknown, place: string) => T,
): { [P in K]?: T } {
  const result: { [P in K]?: T } = {};
  if (value.has(key)) result[key] = read(value.get(key), `${place}.${key}`);
  return result;
}

function malformed(place: string, detail: string): never {
  throw new ManifestError('reference.malformed', place, detail);
}
