/** One 512-byte block that begins an entry (POSIX.1-1988 ustar; GNU's differences where archives have them). */
import { ParseError } from '../../../bytes/index.ts';

export const BLOCK = 512;

/** `typeflag`. */
export const TYPE = {
  file: '0',
  hardLink: '1',
  symlink: '2',
  directory: '5',
  pax: 'x',
  globalPax: 'g',
  gnuLongName: 'L',
  gnuLongLink: 'K',
} as const;

export interface TarHeader {
  readonly name: Buffer;
  readonly type: string;
  readonly linkName: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
}

const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  linkName: [157, 100],
  magic: [257, 8],
  prefix: [345, 155],
} as const satisfies Readonly<Record<string, readonly [at: number, length: number]>>;

type Field = keyof typeof FIELDS;

export const NAME_SIZE = FIELDS.name[1];
const USTAR = Buffer.from('ustar\x0000', 'latin1');
const GNU = Buffer.from('ustar  \0', 'latin1');

/** What fits a field of 12 or 8 bytes in octal. */
export const MAX_SIZE = 0o77777777777;
export const MAX_ID = 0o7777777;

const capped = (value: number, limit: number): number => (value >= 0 && value <= limit ? value : 0);

/** Names are cut and numbers left zero where they do not fit: a PAX header before has them whole. */
export function encodeHeader(header: TarHeader): Buffer {
  const block = Buffer.alloc(BLOCK);
  const number = (field: Field, value: number): void => {
    const [at, length] = FIELDS[field];
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
  };
  block.set(header.name.subarray(0, NAME_SIZE), FIELDS.name[0]);
  block.set(header.linkName.subarray(0, NAME_SIZE), FIELDS.linkName[0]);
  number('mode', header.mode);
  number('uid', capped(header.uid, MAX_ID));
  number('gid', capped(header.gid, MAX_ID));
  number('size', capped(header.size, MAX_SIZE));
  number('mtime', capped(header.mtime, MAX_SIZE));
  block.write(header.type, FIELDS.type[0], 'latin1');
  block.set(USTAR, FIELDS.magic[0]);
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, FIELDS.checksum[0], 'latin1');
  return block;
}

/** The sum of the bytes, its own field counted as blanks. */
function checksum(block: Uint8Array): number {
  const [at, length] = FIELDS.checksum;
  return block.reduce((sum, byte, i) => sum + (i >= at && i < at + length ? 0x20 : byte), 0);
}

/** @param offset of the block within the archive @throws {ParseError} */
export function parseHeader(block: Buffer, offset: number): TarHeader {
  const field = (name: Field): Buffer => block.subarray(FIELDS[name][0], FIELDS[name][0] + FIELDS[name][1]);
  const text = (name: Field): Buffer => untilNul(field(name));
  const number = (name: Field): number => parseNumber(field(name), name, offset + FIELDS[name][0]);
  if (number('checksum') !== checksum(block)) {
    throw new ParseError('parse.invalid', 'tar header checksum', offset, 'does not fit the header');
  }
  const magic = field('magic');
  if (!magic.subarray(0, 5).equals(USTAR.subarray(0, 5))) {
    throw new ParseError('parse.unknown-value', 'tar header magic', offset, 'is not ustar');
  }
  // GNU's own form has times and sparse maps where ustar has the prefix.
  const prefix = magic.equals(GNU) ? Buffer.alloc(0) : text('prefix');
  return {
    name: prefix.length === 0 ? text('name') : Buffer.concat([prefix, Buffer.from('/'), text('name')]),
    type: field('type').toString('latin1'),
    linkName: text('linkName'),
    mode: number('mode') & 0o7777,
    uid: number('uid'),
    gid: number('gid'),
    size: number('size'),
    mtime: parseTime(field('mtime'), offset + FIELDS.mtime[0]),
  };
}

function untilNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Octal digits with blanks or NULs around them, or GNU's base 256: the first bit set, big endian. */
function parseNumber(bytes: Buffer, what: string, offset: number): number {
  if (((bytes[0] ?? 0) & 0x80) !== 0) return parseBinary(bytes, what, offset);
  const text = bytes.toString('latin1').replace(/^ +|[ \0]+$/g, '');
  if (!/^[0-7]*$/.test(text)) throw new ParseError('parse.invalid', `tar header ${what}`, offset, 'is not octal');
  return text === '' ? 0 : Number.parseInt(text, 8);
}

function parseBinary(bytes: Buffer, what: string, offset: number): number {
  const digits = Buffer.from(bytes);
  digits[0] = (digits[0] ?? 0) & 0x7f;
  const value = BigInt(`0x${digits.toString('hex')}`);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new ParseError('parse.too-large', `tar header ${what}`, offset, 'is out of range');
  }
  return Number(value);
}

/** Before 1970, in GNU's base 256, all bits are set: as good as no time. */
function parseTime(bytes: Buffer, offset: number): number {
  return bytes[0] === 0xff ? 0 : parseNumber(bytes, 'mtime', offset);
}
