/** Reads a tar archive in order: ustar, PAX and GNU's long names; content is streamed, of any size. */
import { ParseError } from '../../../bytes/index.ts';
import type { Input } from '../input.ts';
import { BLOCK, parseHeader, type TarHeader, TYPE } from './header.ts';
import { type PaxRecords, parsePaxRecords, XATTR_PREFIX } from './pax.ts';

/** A PAX header or a long name; attributes of 64 KiB each make a few of them. */
const MAX_EXTENSION = 4 << 20;
const CHUNK = 1 << 18;

export interface ArchiveEntry {
  /** Where its first header begins. */
  readonly offset: number;
  readonly path: Buffer;
  readonly link: Buffer;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since 1970, with a fraction. */
  readonly mtime: number;
  readonly xattrs: ReadonlyMap<string, Buffer>;
  /** The content is in a form of GNU's that leaves holes out. */
  readonly isSparse: boolean;
}

interface Extensions {
  pax: PaxRecords;
  longName?: Buffer;
  longLink?: Buffer;
}

export class ArchiveReader {
  readonly #input: Input;
  /** Of the current entry: content that was not read, and the padding behind it. */
  #left = 0;
  #padding = 0;
  #global: Map<string, Buffer> = new Map();

  constructor(input: Input) {
    this.#input = input;
  }

  /** The next entry, whatever was left of the one before; undefined at the archive's end. @throws {ParseError} */
  next(): ArchiveEntry | undefined {
    while (this.read() !== undefined);
    this.#skip(this.#padding);
    this.#padding = 0;
    const { offset } = this.#input;
    const extensions: Extensions = { pax: new Map() };
    for (;;) {
      const at = this.#input.offset;
      const block = this.#input.take(BLOCK);
      if (block.length < BLOCK) throw truncated(this.#input.offset);
      if (block.every((byte) => byte === 0)) return this.#end(at, offset);
      const header = parseHeader(block, at);
      if (!this.#extend(extensions, header)) return this.#entry(offset, header, extensions);
    }
  }

  /** Reads a pipe to its end, so that its writer is not broken off at the blocks that fill the last record. */
  #end(at: number, first: number): undefined {
    if (at !== first) throw new ParseError('parse.truncated', 'tar archive', at, 'ends after an extension of an entry');
    for (let left = MAX_EXTENSION; left > 0; ) {
      const rest = this.#input.some(CHUNK);
      if (rest.length === 0) return undefined;
      left -= rest.length;
    }
    return undefined;
  }

  /** True where the header is about the one that follows. */
  #extend(extensions: Extensions, header: TarHeader): boolean {
    switch (header.type) {
      case TYPE.pax:
        extensions.pax = this.#pax(header.size);
        return true;
      case TYPE.globalPax:
        this.#global = new Map([...this.#global, ...this.#pax(header.size)]);
        if (this.#global.size > MAX_GLOBAL) throw tooLarge(this.#input.offset);
        return true;
      case TYPE.gnuLongName:
        extensions.longName = this.#longName(header.size);
        return true;
      case TYPE.gnuLongLink:
        extensions.longLink = this.#longName(header.size);
        return true;
      default:
        return false;
    }
  }

  #pax(size: number): Map<string, Buffer> {
    const { offset } = this.#input;
    return parsePaxRecords(this.#extension(size), offset);
  }

  #longName(size: number): Buffer {
    const bytes = this.#extension(size);
    const end = bytes.indexOf(0);
    return end < 0 ? bytes : bytes.subarray(0, end);
  }

  #extension(size: number): Buffer {
    if (size > MAX_EXTENSION) throw tooLarge(this.#input.offset);
    const parts: Buffer[] = [];
    for (let left = size; left > 0; ) {
      const part = this.#input.some(Math.min(left, CHUNK));
      if (part.length === 0) throw truncated(this.#input.offset);
      parts.push(Buffer.from(part));
      left -= part.length;
    }
    this.#skip(paddingOf(size));
    return Buffer.concat(parts);
  }

  #entry(offset: number, header: TarHeader, extensions: Extensions): ArchiveEntry {
    const pax = this.#global.size === 0 ? extensions.pax : new Map([...this.#global, ...extensions.pax]);
    const keywords = new Keywords(pax, offset);
    // A hard link has no content, whatever its size field says (POSIX.1-1988; GNU tar's list.c:read_header).
    const size = header.type === TYPE.hardLink ? 0 : keywords.integer('size', header.size);
    this.#left = size;
    this.#padding = paddingOf(size);
    return {
      offset,
      path: pax.get('path') ?? extensions.longName ?? header.name,
      link: pax.get('linkpath') ?? extensions.longLink ?? header.linkName,
      type: header.type,
      mode: header.mode,
      uid: keywords.integer('uid', header.uid),
      gid: keywords.integer('gid', header.gid),
      size,
      mtime: keywords.time('mtime', header.mtime),
      xattrs: keywords.xattrs(),
      isSparse: [...pax.keys()].some((keyword) => keyword.startsWith('GNU.sparse.')),
    };
  }

  /** The next part of the entry's content, valid until the next call; undefined at its end. @throws {ParseError} */
  read(): Buffer | undefined {
    if (this.#left === 0) return undefined;
    const part = this.#input.some(Math.min(this.#left, CHUNK));
    if (part.length === 0) throw truncated(this.#input.offset);
    this.#left -= part.length;
    return part;
  }

  #skip(count: number): void {
    if (this.#input.take(count).length < count) throw truncated(this.#input.offset);
  }
}

/** Keywords of global headers: real ones have a handful. */
const MAX_GLOBAL = 1024;

const paddingOf = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

const truncated = (offset: number): ParseError =>
  new ParseError('parse.truncated', 'tar archive', offset, 'ends before its end is marked: it is cut short');

const tooLarge = (offset: number): ParseError =>
  new ParseError('parse.too-large', 'tar archive, extended header', offset, `is longer than ${MAX_EXTENSION} bytes`);

/** Values of PAX keywords. */
class Keywords {
  readonly #pax: PaxRecords;
  readonly #offset: number;

  constructor(pax: PaxRecords, offset: number) {
    this.#pax = pax;
    this.#offset = offset;
  }

  #number(keyword: string, pattern: RegExp, otherwise: number): number {
    const bytes = this.#pax.get(keyword);
    // Empty: the keyword of a global header is taken back.
    if (bytes === undefined || bytes.length === 0) return otherwise;
    const text = bytes.toString('latin1', 0, 64);
    const value = Number(text);
    if (pattern.test(text) && Math.abs(value) <= Number.MAX_SAFE_INTEGER) return value;
    throw new ParseError('parse.invalid', `PAX keyword ${keyword}`, this.#offset, 'is not a number in range');
  }

  integer(keyword: string, otherwise: number): number {
    return this.#number(keyword, /^\d{1,20}$/, otherwise);
  }

  time(keyword: string, otherwise: number): number {
    return this.#number(keyword, /^-?\d{1,20}(\.\d{0,40})?$/, otherwise);
  }

  xattrs(): Map<string, Buffer> {
    const found = [...this.#pax].filter(([keyword]) => keyword.startsWith(XATTR_PREFIX));
    return new Map(found.map(([keyword, value]) => [keyword.slice(XATTR_PREFIX.length), value]));
  }
}
