/** What the parts of a manifest are checked by: each value, with its JSONPath where it is wrong. */
import { digestInfo, isDigestAlgorithm } from '../bytes/index.ts';
import { ManifestError } from './error.ts';
import type { TaggedDigest } from './types.ts';

const MAX_TEXT = 4096;

export function taggedDigest(value: unknown, place: string): TaggedDigest {
  const match = /^(verity:)?([a-z0-9-]+):([0-9a-fA-F]+)$/.exec(text(value, place));
  if (match === null) return malformed(place, "must be '<algorithm>:<hex>'");
  const [, verity = '', algorithm = '', hex = ''] = match;
  if (!isDigestAlgorithm(algorithm)) return malformed(place, `digest algorithm '${algorithm}' is not supported`);
  return `${verity}${algorithm}:${hexDigest(hex, digestInfo(algorithm).size, place)}`;
}

export function hexDigest(value: string, size: number, place: string): string {
  if (value.length !== size * 2 || /[^0-9a-fA-F]/.test(value)) malformed(place, `must be ${size * 2} hex digits`);
  return value.toLowerCase();
}

export function text(value: unknown, place: string): string {
  if (typeof value !== 'string') return malformed(place, value === undefined ? 'is missing' : 'must be text');
  if (value.length > MAX_TEXT) {
    throw new ManifestError('reference.too-large', place, `${value.length} characters, ${MAX_TEXT} are allowed`);
  }
  if (value.includes('\0')) malformed(place, 'holds a NUL, which no path has');
  return value;
}

export function truth(value: unknown, place: string): boolean {
  return typeof value === 'boolean' ? value : malformed(place, 'must be true or false');
}

export function wholeNumber(value: unknown, place: string): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? value
    : malformed(place, 'must be a whole number');
}

export function list<T>(value: unknown, place: string, max: number, item: (value: unknown, place: string) => T): T[] {
  if (!Array.isArray(value)) return malformed(place, value === undefined ? 'is missing' : 'must be a list');
  if (value.length > max) {
    throw new ManifestError('reference.too-large', place, `${value.length} items, ${max} are allowed`);
  }
  return value.map((each: unknown, i) => item(each, `${place}[${i}]`));
}

export function record(value: unknown, place: string): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return malformed(place, 'must be an object');
  return new Map(Object.entries(value));
}

export function knownKeys(value: ReadonlyMap<string, unknown>, place: string, known: readonly string[]): void {
  for (const key of value.keys()) if (!known.includes(key)) malformed(`${place}.${key}`, 'is not known');
}

export function present<K extends string, T>(
  key: K,
  value: ReadonlyMap<string, unknown>,
  place: string,
  read: (value: unknown, place: string) => T,
): { [P in K]?: T } {
  const result: { [P in K]?: T } = {};
  if (value.has(key)) result[key] = read(value.get(key), `${place}.${key}`);
  return result;
}

export function malformed(place: string, detail: string): never {
  throw new ManifestError('reference.malformed', place, detail);
}
