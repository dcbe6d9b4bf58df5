/**
 * Structures are declared once, as values, and both ends read and write through the declaration:
 *
 *     export const TPMS_QUOTE_INFO = struct('TPMS_QUOTE_INFO', { pcrSelect: TPML_PCR_SELECTION, pcrDigest: TPM2B_DIGEST });
 *     export type TPMS_QUOTE_INFO = TypeOf<typeof TPMS_QUOTE_INFO>;
 *
 * Reading copies what it keeps, checks every size against what is left before it allocates, and raises only
 * {@link TpmParseError}. Writing raises only {@link TpmError} `tpm.argument`.
 */
import { ByteReader, ByteWriter } from '../bytes/index.ts';
import { inField, TpmError, TpmParseError, withRc } from './errors.ts';
import { TPM_RC } from './response-codes.ts';

export interface Codec<T> {
  /** The type's name in TPM 2.0 Part 2. */
  readonly name: string;
  /** True for a TPM2B_…: as a first parameter it can be encrypted (Part 1, 21.2). */
  readonly isTpm2b?: boolean;
  read(reader: ByteReader): T;
  write(writer: ByteWriter, value: T): void;
}

export type TypeOf<C> = C extends Codec<infer T> ? T : never;

export type Fields = Readonly<Record<string, Codec<unknown>>>;
type Simplify<T> = { [K in keyof T]: T[K] } & {};
export type StructOf<F extends Fields> = { readonly [K in keyof F]: TypeOf<F[K]> };

/** Reads exactly one value from all of `bytes`. @throws {TpmParseError} with TPM_RC_SIZE where bytes are left over */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  try {
    const reader = new ByteReader(bytes);
    const value = codec.read(reader);
    if (reader.remaining > 0) reject(reader, 'parse.trailing', `${reader.remaining} bytes left over`, TPM_RC.SIZE);
    return value;
  } catch (error) {
    throw inField(error, codec.name);
  }
}

/** @throws {TpmError} `tpm.argument` where a value does not fit its field */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array<ArrayBuffer> {
  try {
    const writer = new ByteWriter();
    codec.write(writer, value);
    return writer.finish();
  } catch (error) {
    throw inField(error, codec.name);
  }
}

/** Raises the typed error at the reader's place (or at `offset`), with the response code a TPM answers. */
export function reject(
  reader: ByteReader,
  code: TpmParseError['code'],
  detail: string,
  rc: number,
  offset = reader.offset,
): never {
  throw new TpmParseError(code, [], offset, detail, rc);
}

function refuse(detail: string): never {
  throw new TpmError('tpm.argument', detail);
}

// --- integers (Part 2, 5.1) -----------------------------------------------------------------------------------------

function checked(value: number, max: number): number {
  return Number.isInteger(value) && value >= 0 && value <= max ? value : refuse(`${value} is not in 0…${max}`);
}

export const uint8: Codec<number> = {
  name: 'UINT8',
  read: (reader) => reader.u8('UINT8'),
  write: (writer, value) => void writer.u8(checked(value, 0xff)),
};

export const uint16: Codec<number> = {
  name: 'UINT16',
  read: (reader) => reader.u16be('UINT16'),
  write: (writer, value) => void writer.u16be(checked(value, 0xffff)),
};

export const uint32: Codec<number> = {
  name: 'UINT32',
  read: (reader) => reader.u32be('UINT32'),
  write: (writer, value) => void writer.u32be(checked(value, 0xffffffff)),
};

export const int32: Codec<number> = {
  name: 'INT32',
  read: (reader) => reader.u32be('INT32') | 0,
  write: (writer, value) => void writer.u32be((value | 0) === value ? value >>> 0 : refuse(`${value} is no INT32`)),
};

export const uint64: Codec<bigint> = {
  name: 'UINT64',
  read: (reader) => reader.u64be('UINT64'),
  write: (writer, value) =>
    void writer.u64be(value >= 0n && value < 1n << 64n ? value : refuse(`${value} is no UINT64`)),
};

/** The same bytes under the specification's name for them. */
export function named<T>(name: string, codec: Codec<T>): Codec<T> {
  return { ...codec, name };
}

// --- closed sets ----------------------------------------------------------------------------------------------------

/**
 * A constant from a closed set, by name; any other number is answered with `rc` (each TPMI_ table of Part 2 names its
 * own: TPM_RC_HASH, TPM_RC_CURVE, …).
 */
export function oneOf<const Table extends Readonly<Record<string, number>>>(
  name: string,
  base: Codec<number>,
  rc: number,
  table: Table,
): Codec<keyof Table & string> & { readonly values: Table } {
  const names = new Map(Object.entries(table).map(([key, value]): [number, keyof Table & string] => [value, key]));
  return {
    name,
    values: table,
    read(reader) {
      const start = reader.offset;
      const value = base.read(reader);
      const found = names.get(value);
      if (found !== undefined) return found;
      return reject(reader, 'parse.unknown-value', `0x${value.toString(16)} is no ${name}`, rc, start);
    },
    write(writer, value) {
      const number = Object.hasOwn(table, value) ? table[value] : undefined;
      base.write(writer, number ?? refuse(`'${String(value)}' is no ${name}`));
    },
  };
}

/** A number restricted by a check, such as a handle's range. */
export function restricted(
  name: string,
  base: Codec<number>,
  rc: number,
  allows: (value: number) => boolean,
): Codec<number> {
  return {
    name,
    read(reader) {
      const start = reader.offset;
      const value = base.read(reader);
      return allows(value)
        ? value
        : reject(reader, 'parse.invalid', `0x${value.toString(16)} is no ${name}`, rc, start);
    },
    write: (writer, value) =>
      base.write(writer, allows(value) ? value : refuse(`0x${value.toString(16)} is no ${name}`)),
  };
}

// --- attributes (Part 2, 8): bits by name ---------------------------------------------------------------------------

/** A bit's position, or the lowest and highest bit of a number within the attributes. */
type BitPlace = number | readonly [low: number, high: number];
export type Attributes<B extends Readonly<Record<string, BitPlace>>> = {
  readonly [K in keyof B]?: B[K] extends number ? boolean : number;
};

export interface AttributesCodec<B extends Readonly<Record<string, BitPlace>>> extends Codec<Attributes<B>> {
  /** The set that a number stands for, reserved bits ignored; only what is set appears. */
  fromNumber(bits: number): Attributes<B>;
  toNumber(value: Attributes<B>): number;
}

/**
 * TPMA_…: `{ fixedTPM: true, sign: true }`. Reading gives only what is set; a missing name means clear.
 * A reserved bit is answered with TPM_RC_RESERVED_BITS.
 */
export function attributes<const B extends Readonly<Record<string, BitPlace>>>(
  name: string,
  base: Codec<number>,
  places: B,
): AttributesCodec<B> {
  const entries = Object.entries<BitPlace>(places).map(([key, place]) => {
    const [low, high] = typeof place === 'number' ? [place, place] : place;
    return { key, low, max: 2 ** (high - low + 1) - 1, isFlag: typeof place === 'number' };
  });
  const known = entries.reduce((mask, { low, max }) => mask + max * 2 ** low, 0);

  function fromNumber(bits: number): Attributes<B> {
    const value: Record<string, boolean | number> = {};
    for (const { key, low, max, isFlag } of entries) {
      const part = Math.floor(bits / 2 ** low) % (max + 1);
      if (part !== 0) value[key] = isFlag ? true : part;
    }
    return value as Attributes<B>; // the keys are B's and the values what its places say
  }

  function toNumber(value: Attributes<B>): number {
    const unknown = Object.keys(value).find((key) => !Object.hasOwn(places, key));
    if (unknown !== undefined) refuse(`'${unknown}' is no attribute of ${name}`);
    return entries.reduce((bits, { key, low, max }) => bits + checked(Number(value[key] ?? 0), max) * 2 ** low, 0);
  }

  return {
    name,
    fromNumber,
    toNumber,
    read(reader) {
      const start = reader.offset;
      const bits = base.read(reader);
      const reserved = (bits & ~known) >>> 0;
      if (reserved !== 0) {
        reject(reader, 'parse.invalid', `reserved bits 0x${reserved.toString(16)}`, TPM_RC.RESERVED_BITS, start);
      }
      return fromNumber(bits);
    },
    write: (writer, value) => base.write(writer, toNumber(value)),
  };
}

// --- buffers and lists ----------------------------------------------------------------------------------------------

/** TPM2B_… of plain bytes: UINT16 size, at most `max`, then the bytes. */
export function tpm2b(name: string, max: number): Codec<Uint8Array> {
  return {
    name,
    isTpm2b: true,
    read(reader) {
      const start = reader.offset;
      const size = reader.u16be(name);
      if (size > max) reject(reader, 'parse.too-large', `${size} bytes, at most ${max}`, TPM_RC.SIZE, start);
      return new Uint8Array(reader.bytes(size, name));
    },
    write(writer, value) {
      if (value.length > max) refuse(`${value.length} bytes, at most ${max}`);
      writer.u16be(value.length).bytes(value);
    },
  };
}

/** Bytes without a size of their own, up to the end of what surrounds them; at most `max`. */
export function remaining(name: string, max: number): Codec<Uint8Array> {
  return {
    name,
    read(reader) {
      if (reader.remaining > max) {
        reject(reader, 'parse.too-large', `${reader.remaining} bytes, at most ${max}`, TPM_RC.SIZE);
      }
      return new Uint8Array(reader.rest());
    },
    write(writer, value) {
      if (value.length > max) refuse(`${value.length} bytes, at most ${max}`);
      writer.bytes(value);
    },
  };
}

function writeSized<T>(writer: ByteWriter, codec: Codec<T>, value: T): void {
  const start = writer.length;
  writer.u16be(0);
  codec.write(writer, value);
  writer.patchU16be(start, checked(writer.length - start - 2, 0xffff));
}

/** The structure within a TPM2B, whose end is known: what it lacks or leaves over is a matter of size. */
function readSized<T>(reader: ByteReader, size: number, field: string, codec: Codec<T>): T {
  const start = reader.offset;
  if (size > reader.remaining) {
    reject(reader, 'parse.truncated', `${size} bytes announced, ${reader.remaining} left`, TPM_RC.SIZE);
  }
  const inner = reader.section(size, codec.name);
  try {
    const value = codec.read(inner);
    if (inner.remaining > 0) {
      reject(inner, 'parse.trailing', `size ${size}, structure ${inner.offset - start}`, TPM_RC.SIZE);
    }
    return value;
  } catch (error) {
    const placed = inField(error, field);
    // As the reference code, which reads on past the size and then compares: INSUFFICIENT only at the command's end
    const cutShort = placed instanceof TpmParseError && placed.rc === TPM_RC.INSUFFICIENT && reader.remaining > 0;
    throw cutShort ? withRc(placed, TPM_RC.SIZE) : placed;
  }
}

/** TPM2B_… around one structure; the value is the structure itself. An empty one is answered with TPM_RC_SIZE. */
export function sized<T>(name: string, field: string, codec: Codec<T>): Codec<T> {
  return {
    name,
    isTpm2b: true,
    read(reader) {
      const start = reader.offset;
      const size = reader.u16be(name);
      if (size === 0) reject(reader, 'parse.invalid', 'is empty', TPM_RC.SIZE, start);
      return readSized(reader, size, field, codec);
    },
    write(writer, value) {
      try {
        writeSized(writer, codec, value);
      } catch (error) {
        throw inField(error, field);
      }
    },
  };
}

/** As {@link sized}, and undefined stands for the empty buffer. */
export function sizedOrEmpty<T>(name: string, field: string, codec: Codec<T>): Codec<T | undefined> {
  const full = sized(name, field, codec);
  return {
    name,
    isTpm2b: true,
    read(reader) {
      const size = reader.u16be(name);
      return size === 0 ? undefined : readSized(reader, size, field, codec);
    },
    write(writer, value) {
      if (value === undefined) writer.u16be(0);
      else full.write(writer, value);
    },
  };
}

/** TPML_…: UINT32 count, at most `max`, then the elements. Too many are answered with TPM_RC_SIZE. */
export function list<T>(name: string, element: Codec<T>, max: number): Codec<readonly T[]> {
  return {
    name,
    read(reader) {
      const start = reader.offset;
      const count = reader.u32be(name);
      if (count > max) reject(reader, 'parse.too-large', `${count} elements, at most ${max}`, TPM_RC.SIZE, start);
      const values: T[] = [];
      try {
        for (let i = 0; i < count; i++) values.push(element.read(reader));
      } catch (error) {
        throw inField(error, `[${values.length}]`);
      }
      return values;
    },
    write(writer, values) {
      if (values.length > max) refuse(`${values.length} elements, at most ${max}`);
      writer.u32be(values.length);
      let at = 0;
      try {
        for (; at < values.length; at++) element.write(writer, values[at] as T); // in range
      } catch (error) {
        throw inField(error, `[${at}]`);
      }
    },
  };
}

// --- structures -----------------------------------------------------------------------------------------------------

export interface StructCodec<T> extends Codec<T> {
  /** Field names and types in the specification's order. */
  readonly fields: readonly (readonly [name: string, codec: Codec<unknown>])[];
}

function readFields(reader: ByteReader, fields: StructCodec<unknown>['fields'], into: Record<string, unknown>): void {
  for (const [name, codec] of fields) {
    try {
      into[name] = codec.read(reader);
    } catch (error) {
      throw inField(error, name);
    }
  }
}

function writeFields(
  writer: ByteWriter,
  fields: StructCodec<unknown>['fields'],
  from: Readonly<Record<string, unknown>>,
): void {
  for (const [name, codec] of fields) {
    try {
      codec.write(writer, from[name]);
    } catch (error) {
      throw inField(error, name);
    }
  }
}

/** TPMS_…: the fields in the specification's order, nothing between them. */
export function struct<F extends Fields>(name: string, fields: F): StructCodec<StructOf<F>> {
  const entries = Object.entries(fields);
  return {
    name,
    fields: entries,
    read(reader) {
      const value: Record<string, unknown> = {};
      readFields(reader, entries, value);
      return value as StructOf<F>; // each key was read with its own codec
    },
    write: (writer, value) => writeFields(writer, entries, value),
  };
}

type Variants = Readonly<Record<string, Fields>>;

/** One object type for each selector, so that checking the selector narrows the rest. */
export type TaggedOf<S extends string, C extends Fields, V extends Variants> = {
  [K in keyof V & string]: Simplify<{ readonly [T in S]: K } & StructOf<C> & StructOf<V[K]>>;
}[keyof V & string];

/**
 * TPMT_…, a structure whose selector decides what follows (TPMU_… of Part 2): the selector, the fields that all
 * share, then those of the chosen variant, all in one flat object.
 *
 * @param shape.selector one entry: the selector's field name and its closed set; a name of the set without a variant
 *   is answered with TPM_RC_SELECTOR
 * @param shape.before fixed bytes in front of the selector (TPMS_ATTEST's magic), which the value does not show
 */
export function tagged<S extends string, N extends string, C extends Fields, V extends Variants>(
  name: string,
  shape: {
    readonly before?: Codec<void>;
    readonly selector: Readonly<Record<S, Codec<N>>>;
    readonly shared: C;
    readonly variants: V & { readonly [K in Exclude<keyof V, N>]: never };
  },
): Codec<TaggedOf<S, C, V>> & { readonly variants: readonly string[] } {
  const [selector] = Object.entries<Codec<N>>(shape.selector);
  if (selector === undefined) throw new TypeError(`${name} has no selector`);
  const [selectorName, selectorCodec] = selector;
  const shared = Object.entries(shape.shared);
  const variants = new Map(
    Object.entries<Fields>(shape.variants).map(([key, fields]) => [key, Object.entries(fields)]),
  );

  return {
    name,
    variants: [...variants.keys()],
    read(reader) {
      const value: Record<string, unknown> = {};
      if (shape.before !== undefined) readFields(reader, [[shape.before.name, shape.before]], {});
      const start = reader.offset;
      readFields(reader, [[selectorName, selectorCodec]], value);
      const chosen = variants.get(String(value[selectorName]));
      if (chosen === undefined) {
        return reject(reader, 'parse.unknown-value', `${value[selectorName]} selects nothing`, TPM_RC.SELECTOR, start);
      }
      readFields(reader, shared, value);
      readFields(reader, chosen, value);
      return value as TaggedOf<S, C, V>; // selector, shared fields and the variant's own
    },
    write(writer, value) {
      const from: Readonly<Record<string, unknown>> = value;
      const chosen = variants.get(String(from[selectorName]));
      if (chosen === undefined) return refuse(`${selectorName} '${from[selectorName]}' selects nothing`);
      shape.before?.write(writer, undefined);
      writeFields(writer, [[selectorName, selectorCodec], ...shared, ...chosen], from);
    },
  };
}

/** A fixed number that the value does not show. */
export function magic(name: string, base: Codec<number>, expected: number, rc: number): Codec<void> {
  return {
    name,
    read(reader) {
      const start = reader.offset;
      const value = base.read(reader);
      if (value !== expected) {
        reject(reader, 'parse.invalid', `0x${value.toString(16)}, not 0x${expected.toString(16)}`, rc, start);
      }
    },
    write: (writer) => base.write(writer, expected),
  };
}
