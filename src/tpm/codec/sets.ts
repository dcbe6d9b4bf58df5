/** Constants from closed sets and attributes: TPM 2.0 Part 2, 6, 8 and 9. */
import { TPM_RC } from '../response-codes.ts';
import { type BitPlace, type Codec, refuse, reject } from './codec.ts';
import { checked } from './integers.ts';
import { type Profile, profileOf } from './profile.ts';

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
    shape: { kind: 'constant', values: table },
    values: table,
    read(reader) {
      const start = reader.offset;
      const value = base.read(reader);
      const found = names.get(value);
      const isTaken = found !== undefined && (profileOf(reader)?.values.get(name)?.has(found) ?? true);
      if (isTaken) return found;
      return reject(reader, 'parse.unknown-value', `0x${value.toString(16)} is no ${name}`, rc, start);
    },
    write(writer, value) {
      const number = Object.hasOwn(table, value) ? table[value] : undefined;
      base.write(writer, number ?? refuse(`'${String(value)}' is no ${name}`));
    },
  };
}

/** A number restricted by a check, such as a handle's range; the check may know whose TPM is asked. */
export function restricted(
  name: string,
  base: Codec<number>,
  rc: number,
  allows: (value: number, profile?: Profile) => boolean,
): Codec<number> {
  return {
    name,
    shape: { kind: 'own' },
    read(reader) {
      const start = reader.offset;
      const value = base.read(reader);
      return allows(value, profileOf(reader))
        ? value
        : reject(reader, 'parse.invalid', `0x${value.toString(16)} is no ${name}`, rc, start);
    },
    write: (writer, value) =>
      base.write(writer, allows(value) ? value : refuse(`0x${value.toString(16)} is no ${name}`)),
  };
}

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
    shape: { kind: 'attributes', places },
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
