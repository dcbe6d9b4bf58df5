/**
 * A manifest of labels: JSON lines. The first names the format, the last counts the lines between: a file that was cut
 * short is known as such.
 */
import { type DigestAlgorithm, digestInfo, fromHex, isDigestAlgorithm, ParseError, toHex } from '../../bytes/index.ts';
import { decodePath, encodePath } from '../../ima/index.ts';
import { MAX_XATTR_SIZE } from '../../sys/index.ts';
import { inOrder, type LabelAttribute, type Labels, labelAttribute } from './attributes.ts';

const VERSION = 1;

/** Three labels and a capability of 64 KiB each in base64, and a path of 4095 bytes each escaped: less than this. */
export const MAX_LINE = 1 << 19;

export interface ManifestHeader {
  /** Of the files' digests. */
  readonly hash: DigestAlgorithm;
  /** Where the tree lay that was exported; for people. */
  readonly root: string;
}

export interface LabelRecord {
  /** Relative to the tree; empty for its root. */
  readonly path: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly labels: Labels;
  readonly capability?: Uint8Array;
  /** Of a file, and what its labels were made for; undefined for a folder. */
  readonly content: { readonly size: number; readonly digest: Uint8Array } | undefined;
}

export const encodeHeader = ({ hash, root }: ManifestHeader): string =>
  line({ assay: 'labels', version: VERSION, root, hash });

export const encodeEnd = (records: number): string => line({ records });

/** Paths stand as text in which each byte that is not UTF-8 is a lone surrogate (see ima/path.ts); `.` is the root. */
export function encodeRecord({ path, mode, uid, gid, labels, capability, content }: LabelRecord): string {
  return line({
    path: path.length === 0 ? '.' : decodePath(path),
    type: content === undefined ? 'directory' : 'file',
    mode: mode.toString(8).padStart(4, '0'),
    uid,
    gid,
    ...(content === undefined ? {} : { size: content.size, digest: toHex(content.digest) }),
    labels: Object.fromEntries(inOrder(labels).map(([name, value]) => [name, toBase64(value)])),
    ...(capability === undefined ? {} : { capability: toBase64(capability) }),
  });
}

const line = (value: unknown): string => `${JSON.stringify(value)}\n`;
const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** A line that was read, with its place for errors. */
export interface Line {
  readonly text: string;
  readonly number: number;
  readonly offset: number;
}

/** @throws {ParseError} */
export function parseHeader(given: Line): ManifestHeader {
  const fields = new Fields(given);
  if (fields.string('assay') !== 'labels') throw fields.wrong('assay', "is not 'labels'");
  if (fields.integer('version', 2 ** 31) !== VERSION) throw fields.wrong('version', `is not ${VERSION}`);
  const hash = fields.string('hash');
  if (!isDigestAlgorithm(hash)) throw fields.wrong('hash', 'is no digest algorithm that is known here');
  return { hash, root: fields.string('root') };
}

/** @throws {ParseError} */
export function parseLine(given: Line, hash: DigestAlgorithm): LabelRecord | { readonly records: number } {
  const fields = new Fields(given);
  if (fields.has('records')) return { records: fields.integer('records', Number.MAX_SAFE_INTEGER) };
  const path = fields.string('path');
  const capability = fields.has('capability') ? { capability: fields.base64('capability') } : {};
  return {
    path: path === '.' ? Buffer.alloc(0) : encodePath(path),
    mode: fields.mode('mode'),
    uid: fields.integer('uid', MAX_ID),
    gid: fields.integer('gid', MAX_ID),
    labels: fields.labels('labels'),
    ...capability,
    content: contentOf(fields, hash),
  };
}

/** (uid_t)-1 means "leave it" to chown(2). */
const MAX_ID = 2 ** 32 - 2;

function contentOf(fields: Fields, hash: DigestAlgorithm): LabelRecord['content'] {
  const type = fields.string('type');
  if (type === 'directory') return undefined;
  if (type !== 'file') throw fields.wrong('type', "is neither 'file' nor 'directory'");
  const digest = fields.hex('digest');
  if (digest.length !== digestInfo(hash).size) throw fields.wrong('digest', `is no ${hash} digest`);
  return { size: fields.integer('size', Number.MAX_SAFE_INTEGER), digest };
}

/** The object of a line; unknown fields are left for later versions to add. */
class Fields {
  readonly #line: Line;
  readonly #object: object;

  constructor(given: Line) {
    this.#line = given;
    this.#object = this.#parse(given.text);
  }

  #parse(text: string): object {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw this.#error('parse.invalid', '', 'is no JSON');
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
    throw this.#error('parse.invalid', '', 'is no JSON object');
  }

  #error(code: 'parse.invalid' | 'parse.unknown-value' | 'parse.too-large', name: string, detail: string): ParseError {
    const field = name === '' ? '' : `, "${name}"`;
    return new ParseError(code, `manifest line ${this.#line.number}${field}`, this.#line.offset, detail);
  }

  wrong(name: string, detail: string): ParseError {
    return this.#error('parse.unknown-value', name, detail);
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#object, name);
  }

  #get(name: string): unknown {
    return this.has(name) ? Reflect.get(this.#object, name) : undefined;
  }

  string(name: string): string {
    const value = this.#get(name);
    if (typeof value === 'string') return value;
    throw this.#error('parse.invalid', name, 'is no string');
  }

  integer(name: string, limit: number): number {
    const value = this.#get(name);
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= limit) return value;
    throw this.#error('parse.invalid', name, `is no whole number up to ${limit}`);
  }

  mode(name: string): number {
    const text = this.string(name);
    if (!/^[0-7]{4}$/.test(text)) throw this.#error('parse.invalid', name, 'is no octal file mode');
    return Number.parseInt(text, 8);
  }

  hex(name: string): Buffer {
    const text = this.string(name);
    try {
      return fromHex(text);
    } catch {
      throw this.#error('parse.invalid', name, 'is not hexadecimal');
    }
  }

  base64(name: string): Buffer {
    return this.#bytes(name, this.string(name));
  }

  #bytes(name: string, text: string): Buffer {
    const bytes = Buffer.from(text, 'base64');
    // Node takes what looks like base64 and drops the rest.
    if (bytes.toString('base64') !== text) throw this.#error('parse.invalid', name, 'is not base64');
    if (bytes.length > MAX_XATTR_SIZE) throw this.#error('parse.too-large', name, `is longer than ${MAX_XATTR_SIZE}`);
    return bytes;
  }

  labels(name: string): Labels {
    const value = this.#get(name);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.#error('parse.invalid', name, 'is no object');
    }
    const labels = new Map<LabelAttribute, Uint8Array>();
    for (const [attribute, text] of Object.entries(value)) {
      const known = labelAttribute(attribute);
      if (known === undefined) throw this.wrong(name, 'holds an attribute that is no label');
      if (typeof text !== 'string') throw this.#error('parse.invalid', name, 'holds what is no string');
      labels.set(known, this.#bytes(name, text));
    }
    if (labels.size === 0) throw this.#error('parse.invalid', name, 'is empty');
    return labels;
  }
}
