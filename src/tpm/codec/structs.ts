/** Structures (TPMS_) and structures with a selector (TPMT_ with its TPMU_). */
import type { ByteReader, ByteWriter } from '../../bytes/index.ts';
import { inField } from '../errors.ts';
import { TPM_RC } from '../response-codes.ts';
import { type Codec, type FieldEntries, type Fields, refuse, reject, type StructOf } from './codec.ts';

type Simplify<T> = { [K in keyof T]: T[K] } & {};

export interface StructCodec<T> extends Codec<T> {
  readonly fields: FieldEntries;
}

function readFields(reader: ByteReader, fields: FieldEntries, into: Record<string, unknown>): void {
  for (const [name, codec] of fields) {
    try {
      into[name] = codec.read(reader);
    } catch (error) {
      throw inField(error, name);
    }
  }
}

function writeFields(writer: ByteWriter, fields: FieldEntries, from: Readonly<Record<string, unknown>>): void {
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
    shape: { kind: 'struct', fields: entries },
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
): Codec<TaggedOf<S, C, V>> {
  const [selector] = Object.entries<Codec<N>>(shape.selector);
  if (selector === undefined) throw new TypeError(`${name} has no selector`);
  const [selectorName, selectorCodec] = selector;
  const shared = Object.entries(shape.shared);
  const variants = new Map(
    Object.entries<Fields>(shape.variants).map(([key, fields]) => [key, Object.entries(fields)]),
  );

  return {
    name,
    shape: { kind: 'tagged', selector: selectorName, shared, variants },
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
    shape: { kind: 'own' },
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
