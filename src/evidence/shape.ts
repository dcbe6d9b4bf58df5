/**
 * Shapes of CBOR messages (RFC 8949): each says what it reads, with its bounds, and how it is written. A message has one
 * encoding only: definite lengths, shortest integers, map keys in the length-first order of RFC 7049 section 3.9. So
 * nothing is decoded that was not asked for, no key comes twice, and depth is bounded by the shape.
 */
import { encode, type Token, Tokenizer, Type } from 'cborg';
import { EvidenceError } from './error.ts';

export interface Shape<T> {
  /** @throws {EvidenceError} */
  read(input: CborInput, place: string): T;
  /** The value as cborg encodes it. */
  write(value: T): unknown;
}

export interface OptionalShape<T> extends Shape<T> {
  readonly optional: true;
}

const CBOR_NULL = 0xf6;

/** Pulls CBOR items one by one; knows where it is. */
export class CborInput {
  readonly #bytes: Uint8Array;
  readonly #tokens: Tokenizer;
  /** Offset of the item that was read last. */
  offset = 0;

  constructor(bytes: Uint8Array) {
    const options = { strict: true, allowIndefinite: false, allowUndefined: false, allowBigInt: false };
    // A plain view: of a Buffer, cborg's slice() would share memory with the caller instead of copying.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#tokens = new Tokenizer(this.#bytes, options);
  }

  /** Whether null comes next; it is not consumed. */
  get isNull(): boolean {
    return this.#bytes[this.#tokens.pos()] === CBOR_NULL;
  }

  next(place: string): Token {
    this.offset = this.#tokens.pos();
    if (this.#tokens.done()) this.malformed(place, 'the message ends before it');
    try {
      return this.#tokens.next();
    } catch (error) {
      const detail = error instanceof Error ? error.message.replace('CBOR decode error: ', '') : String(error);
      return this.malformed(place, detail);
    }
  }

  end(place: string): void {
    this.offset = this.#tokens.pos();
    if (!this.#tokens.done()) this.malformed(place, 'bytes are left over after it');
  }

  malformed(place: string, detail: string): never {
    throw new EvidenceError('evidence.malformed', place, this.offset, detail);
  }

  tooLarge(place: string, detail: string): never {
    throw new EvidenceError('evidence.too-large', place, this.offset, detail);
  }
}

/** Reads a whole message. @throws {EvidenceError} */
export function decodeShape<T>(shape: Shape<T>, bytes: Uint8Array, what: string, maxBytes: number): T {
  if (bytes.length > maxBytes) {
    throw new EvidenceError('evidence.too-large', what, 0, `${bytes.length} bytes, ${maxBytes} are allowed`);
  }
  const input = new CborInput(bytes);
  const value = shape.read(input, what);
  input.end(what);
  return value;
}

export function encodeShape<T>(shape: Shape<T>, value: T): Uint8Array {
  return encode(shape.write(value));
}

export function bytes(bounds: { readonly min?: number; readonly max: number }): Shape<Uint8Array> {
  const { min = 0, max } = bounds;
  return {
    read: (input, place) => {
      const token = input.next(place);
      if (token.type !== Type.bytes) return input.malformed(place, `must be bytes, is ${token.type.name}`);
      const value: Uint8Array = token.value;
      if (value.length > max) input.tooLarge(place, `${value.length} bytes, ${max} are allowed`);
      if (value.length < min) input.malformed(place, `${value.length} bytes, at least ${min} are needed`);
      return value;
    },
    write: (value) => value,
  };
}

export function exactly(length: number): Shape<Uint8Array> {
  return bytes({ min: length, max: length });
}

/** @param max in UTF-16 code units, as JavaScript counts */
export function text(max: number): Shape<string> {
  return {
    read: (input, place) => {
      const token = input.next(place);
      if (token.type !== Type.string) return input.malformed(place, `must be text, is ${token.type.name}`);
      const value: string = token.value;
      if (value.length > max) input.tooLarge(place, `${value.length} characters, ${max} are allowed`);
      return value;
    },
    // A lone surrogate has no UTF-8; it travels as U+FFFD.
    write: (value) => value.toWellFormed(),
  };
}

/** A whole number of 0 or more. */
export function count(max: number = Number.MAX_SAFE_INTEGER): Shape<number> {
  return {
    read: (input, place) => {
      const token = input.next(place);
      if (token.type !== Type.uint) return input.malformed(place, `must be a whole number, is ${token.type.name}`);
      const value: number = token.value;
      if (value > max) input.tooLarge(place, `${value} is above ${max}`);
      return value;
    },
    write: (value) => value,
  };
}

export function truth(): Shape<boolean> {
  return {
    read: (input, place) => {
      const { type } = input.next(place);
      if (type !== Type.true && type !== Type.false)
        return input.malformed(place, `must be true or false, is ${type.name}`);
      return type === Type.true;
    },
    write: (value) => value,
  };
}

/** One of a closed set of words or numbers. */
export function oneOf<const T extends string | number>(...allowed: readonly T[]): Shape<T> {
  return {
    read: (input, place) => {
      const { value } = input.next(place);
      const found = allowed.find((each) => each === value);
      if (found === undefined) return input.malformed(place, `must be one of ${allowed.join(', ')}`);
      return found;
    },
    write: (value) => value,
  };
}

/** Undefined in the program, null in the message. */
export function orNull<T>(shape: Shape<T>): Shape<T | undefined> {
  return {
    read: (input, place) => {
      if (!input.isNull) return shape.read(input, place);
      input.next(place);
      return undefined;
    },
    write: (value) => (value === undefined ? null : shape.write(value)),
  };
}

export function list<T>(item: Shape<T>, max: number): Shape<readonly T[]> {
  return {
    read: (input, place) => {
      const length = container(input, place, Type.array, max);
      const items: T[] = [];
      for (let i = 0; i < length; i++) items.push(item.read(input, `${place}.${i}`));
      return items;
    },
    write: (value) => value.map(item.write),
  };
}

/** A map from whole numbers, ascending. */
export function byNumber<T>(item: Shape<T>, maxKey: number): Shape<Readonly<Record<number, T>>> {
  const key = count(maxKey);
  return {
    read: (input, place) => {
      const length = container(input, place, Type.map, maxKey + 1);
      const values: Record<number, T> = {};
      let last = -1;
      for (let i = 0; i < length; i++) {
        const at = key.read(input, `${place} key`);
        if (at <= last) input.malformed(`${place}.${at}`, 'keys must be ascending');
        last = at;
        values[at] = item.read(input, `${place}.${at}`);
      }
      return values;
    },
    write: (value) => new Map(Object.entries(value).map(([at, each]) => [Number(at), item.write(each)])),
  };
}

/** In an object: a field that may be absent. */
export function optional<T>(shape: Shape<T>): OptionalShape<T> {
  return { ...shape, optional: true };
}

type FieldShape<T> = {
  [K in keyof T]-?: undefined extends T[K] ? Shape<T[K]> | OptionalShape<NonNullable<T[K]>> : Shape<T[K]>;
};

interface Field {
  readonly name: string;
  readonly shape: Shape<unknown>;
  readonly optional: boolean;
}

/** A map with these keys and no others. */
export function object<T extends object>(shapes: FieldShape<T>): Shape<T> {
  const fields = sortedFields(shapes);
  return {
    read: (input, place) => {
      const value: Record<string, unknown> = {};
      let left = container(input, place, Type.map, fields.length);
      let key = left > 0 ? keyOf(input, place) : undefined;
      for (const field of fields) {
        if (key === field.name) {
          value[field.name] = field.shape.read(input, `${place}.${field.name}`);
          left -= 1;
          key = left > 0 ? keyOf(input, place) : undefined;
        } else if (!field.optional) {
          input.malformed(`${place}.${field.name}`, key === undefined ? 'is missing' : `must come before '${key}'`);
        }
      }
      if (key !== undefined) input.malformed(place, `the key '${key}' is unknown, or not at its place`);
      // The loop has set exactly the fields that T's shapes name.
      return value as T;
    },
    write: (value) => {
      const entries = new Map<string, unknown>(Object.entries(value));
      const present = fields.filter(({ name, optional: may }) => !may || entries.get(name) !== undefined);
      return Object.fromEntries(present.map(({ name, shape }) => [name, shape.write(entries.get(name))]));
    },
  };
}

/** Objects told apart by their `kind`; written as [kind, the other fields], so that a reader knows first what comes. */
export function byKind<T extends { readonly kind: string }>(
  shapes: {
    readonly [K in T['kind']]: Shape<Omit<Extract<T, { readonly kind: K }>, 'kind'>>;
  },
): Shape<T> {
  const byName = new Map<string, Shape<object>>(Object.entries(shapes));
  const kinds = oneOf(...byName.keys());
  return {
    read: (input, place) => {
      if (container(input, place, Type.array, 2) !== 2) input.malformed(place, 'must be [kind, what belongs to it]');
      const kind = kinds.read(input, `${place}.kind`);
      const rest = byName.get(kind)?.read(input, place);
      return { kind, ...rest } as unknown as T;
    },
    write: (value) => {
      const { kind, ...rest } = value;
      return [kind, byName.get(kind)?.write(rest)];
    },
  };
}

function sortedFields<T extends object>(shapes: FieldShape<T>): readonly Field[] {
  const fields = Object.entries<Shape<unknown>>(shapes as Record<string, Shape<unknown>>).map(([name, shape]) => ({
    name,
    shape,
    optional: 'optional' in shape,
  }));
  return fields.sort((a, b) => a.name.length - b.name.length || (a.name < b.name ? -1 : 1));
}

function keyOf(input: CborInput, place: string): string {
  const token = input.next(`${place} key`);
  if (token.type !== Type.string) return input.malformed(place, `a key must be text, is ${token.type.name}`);
  return token.value;
}

function container(input: CborInput, place: string, type: Type, max: number): number {
  const token = input.next(place);
  if (token.type !== type) return input.malformed(place, `must be ${type.name}, is ${token.type.name}`);
  const length: number = token.value;
  if (length > max) input.tooLarge(place, `${length} items, ${max} are allowed`);
  return length;
}
