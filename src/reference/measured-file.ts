/** What one entry of a measurement list says was measured. */
import { hash } from 'node:crypto';
import { digest as digestOf, isDigestAlgorithm, ParseError, toHex } from '../bytes/index.ts';
import {
  decodeFields,
  type EntrySpan,
  type FileDigest,
  type TemplateFieldId,
  type TemplateFields,
  type TemplateLayout,
  templateData,
} from '../ima/index.ts';
import type { TaggedDigest } from './types.ts';

export interface MeasuredFile {
  /** As the list has it: `_` for each space (see `decodePath`). */
  readonly path: string;
  /** Of a violation: `:` and zeros. */
  readonly digest: TaggedDigest;
  /** As `templateKey` of the first two fields; undefined where they are not those of `ima-ng`. */
  readonly key: string | undefined;
  /** Not a file but what was measured itself: a command line, a key, critical data. */
  readonly isBuffer: boolean;
}

const DIGEST_FIELDS: ReadonlySet<TemplateFieldId | undefined> = new Set(['d', 'd-ng', 'd-ngv2'] as const);
const NAME_FIELDS: ReadonlySet<TemplateFieldId | undefined> = new Set(['n', 'n-ng'] as const);

/**
 * Digest and name of an entry; undefined where its template does not begin with both, or they are malformed.
 *
 * The template's **name** is in no digest: whoever sends the list can call an entry's template what he likes, as long as
 * the fields' bytes stay. So only templates that begin with digest and name are read, the name decides nothing else, and
 * a `buf` makes an entry no file only where the digest is that of the buffer and the name is no path.
 */
export function measuredFile(list: Buffer, span: EntrySpan): MeasuredFile | undefined {
  const ids = span.layout.fields;
  if (!DIGEST_FIELDS.has(ids?.[0]) || !NAME_FIELDS.has(ids?.[1])) return undefined;
  const fields = fieldsOf(list, span);
  if (fields?.digest === undefined || fields.path === undefined || fields.path === '') return undefined;
  const { digest, path } = fields;
  const { kind, algorithm, value } = digest;
  return {
    path,
    digest: `${kind === 'verity' ? 'verity:' : ''}${algorithm}:${toHex(value)}`,
    key: ids?.[0] === 'd-ng' && ids[1] === 'n-ng' ? keyOf(list, span.dataStart) : undefined,
    isBuffer: ids?.[2] === 'buf' && !path.startsWith('/') && isDigestOf(digest, fields.buffer),
  };
}

function fieldsOf(list: Buffer, span: EntrySpan): TemplateFields | undefined {
  try {
    return decodeFields(span.layout, templateData(list, span));
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

/**
 * The key of an entry whose template begins with the two fields of `ima-ng` and is longer (ima-sig, ima-modsig,
 * evm-sig): enough to find it approved without decoding its fields. Undefined for other templates, and for those with a
 * buffer. The span must have come from the scanner, which has checked that the fields fill the template data.
 */
export function leadingKey(list: Buffer, { layout, dataStart }: EntrySpan): string | undefined {
  return hasLeadingKey(layout) ? keyOf(list, dataStart) : undefined;
}

/** True for templates whose entries have a `leadingKey`: it depends on their template data alone. */
export function hasLeadingKey({ fields }: TemplateLayout): boolean {
  return fields?.[0] === 'd-ng' && fields[1] === 'n-ng' && fields[2] !== 'buf';
}

/** The scanner has checked that the fields fill the template data. */
function keyOf(list: Buffer, start: number): string {
  const second = start + 4 + list.readUInt32LE(start);
  return hash('sha256', list.subarray(start, second + 4 + list.readUInt32LE(second)), 'binary');
}

/** Kernel: ima_main.c:process_buffer_measurement. */
function isDigestOf({ algorithm, value }: FileDigest, buffer: Uint8Array | undefined): boolean {
  if (buffer === undefined || !isDigestAlgorithm(algorithm)) return false;
  return digestOf(algorithm, buffer).equals(value);
}
