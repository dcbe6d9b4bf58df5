/** What one entry of the measurement list says was measured. */
import { hash } from 'node:crypto';
import { toHex } from '../bytes/index.ts';
import type { EntrySpan, TemplateFieldId } from '../ima/index.ts';
import type { TaggedDigest } from '../reference/index.ts';

export interface MeasuredFile {
  /** As the list has it: `_` for each space. Bytes that are no UTF-8 are shown as `\xNN`. */
  readonly path: string;
  /** The digest field without its algorithm, lower-case hex; see `tagged`. */
  readonly digest: TaggedDigest;
  /** SHA-256 of the entry's first two fields, as `templateKey`: differs from the entry's own for longer templates. */
  readonly key: string | undefined;
  /** What was measured itself (template ima-ng with `buf`), where the digest is really that of the buffer. */
  readonly buffer: boolean;
}

const DIGEST_FIELDS: ReadonlySet<TemplateFieldId | undefined> = new Set(['d', 'd-ng', 'd-ngv2'] as const);
const NAME_FIELDS: ReadonlySet<TemplateFieldId | undefined> = new Set(['n', 'n-ng'] as const);
const LEGACY_DIGEST_SIZE = 20;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Digest and name of an entry; undefined where its template does not begin with both, or they are malformed.
 *
 * The template's **name** is in no digest: whoever sends the list can call an entry's template what he likes, as long as
 * the fields' bytes stay. So only templates that begin with digest and name are judged, the name decides nothing else,
 * and a `buf` makes an entry no file only where the digest is that of the buffer and the name is no path.
 */
export function measuredFile(list: Buffer, span: EntrySpan): MeasuredFile | undefined {
  const { layout, dataStart, end } = span;
  if (layout.legacy) return legacyFile(list, dataStart, end);
  const fields = layout.fields;
  if (fields === undefined || !DIGEST_FIELDS.has(fields[0]) || !NAME_FIELDS.has(fields[1])) return undefined;
  const first = fieldAt(list, dataStart, end);
  const second = first === undefined ? undefined : fieldAt(list, first.end, end);
  if (first === undefined || second === undefined) return undefined;
  const digest = taggedDigest(first.value, fields[0]);
  const path = pathOf(second.value, fields[1]);
  if (digest === undefined || path === undefined) return undefined;
  const key = fields[0] === 'd-ng' ? hash('sha256', list.subarray(dataStart, second.end), 'binary') : undefined;
  return { path, digest, key, buffer: !path.startsWith('/') && isBuffer(list, span, second.end, digest) };
}

interface Field {
  readonly value: Buffer;
  readonly end: number;
}

function fieldAt(list: Buffer, at: number, end: number): Field | undefined {
  if (at + 4 > end) return undefined;
  const length = list.readUInt32LE(at);
  const stop = at + 4 + length;
  return stop > end ? undefined : { value: list.subarray(at + 4, stop), end: stop };
}

/** `d-ng`: `<algorithm>:` NUL digest; `d-ngv2`: `ima:` or `verity:` before it; `d`: 20 bytes of SHA-1. */
function taggedDigest(value: Buffer, field: TemplateFieldId | undefined): TaggedDigest | undefined {
  if (field === 'd') return value.length === LEGACY_DIGEST_SIZE ? `sha1:${toHex(value)}` : undefined;
  const nul = value.indexOf(0);
  if (nul < 1) return undefined;
  const words = value.toString('latin1', 0, nul).split(':');
  if (words.pop() !== '') return undefined;
  const kind = field === 'd-ngv2' ? words.shift() : 'ima';
  const [algorithm] = words;
  if (words.length !== 1 || algorithm === undefined || (kind !== 'ima' && kind !== 'verity')) return undefined;
  return `${kind === 'verity' ? 'verity:' : ''}${algorithm}:${toHex(value.subarray(nul + 1))}`;
}

function pathOf(value: Buffer, field: TemplateFieldId | undefined): string | undefined {
  // `n-ng` ends in its NUL and has no other; `n` has none.
  const nul = value.indexOf(0);
  if (field === 'n-ng' && nul !== value.length - 1) return undefined;
  const bytes = nul < 0 ? value : value.subarray(0, nul);
  return bytes.length === 0 ? undefined : decodeName(bytes);
}

function decodeName(bytes: Buffer): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    return bytes
      .toString('latin1')
      .replace(/[^\x20-\x7e]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
  }
}

function legacyFile(list: Buffer, start: number, end: number): MeasuredFile | undefined {
  const nameAt = start + LEGACY_DIGEST_SIZE + 4;
  const name = list.subarray(nameAt, end);
  if (name.length === 0 || name.includes(0)) return undefined;
  const digest: TaggedDigest = `sha1:${toHex(list.subarray(start, start + LEGACY_DIGEST_SIZE))}`;
  return { path: decodeName(name), digest, key: undefined, buffer: false };
}

/** Kernel: ima_main.c:process_buffer_measurement; the digest is over the buffer, in the list's algorithm. */
function isBuffer(list: Buffer, { layout, end }: EntrySpan, at: number, digest: TaggedDigest): boolean {
  if (layout.fields?.[2] !== 'buf') return false;
  const field = fieldAt(list, at, end);
  const [algorithm = '', hex] = digest.split(':');
  if (field === undefined || !/^(?:sha1|sha256|sha384|sha512)$/.test(algorithm)) return false;
  return hash(algorithm, field.value, 'hex') === hex;
}
