/** Integers: TPM 2.0 Part 2, 5.1; big-endian. */
import { type Codec, refuse } from './codec.ts';

/** The value, where it is a whole number from 0 to `max`. @throws {TpmError} `tpm.argument` */
export function checked(value: number, max: number): number {
  return Number.isInteger(value) && value >= 0 && value <= max ? value : refuse(`${value} is not in 0…${max}`);
}

export const uint8: Codec<number> = {
  name: 'UINT8',
  shape: { kind: 'integer', bits: 8 },
  read: (reader) => reader.u8('UINT8'),
  write: (writer, value) => void writer.u8(checked(value, 0xff)),
};

export const uint16: Codec<number> = {
  name: 'UINT16',
  shape: { kind: 'integer', bits: 16 },
  read: (reader) => reader.u16be('UINT16'),
  write: (writer, value) => void writer.u16be(checked(value, 0xffff)),
};

export const uint32: Codec<number> = {
  name: 'UINT32',
  shape: { kind: 'integer', bits: 32 },
  read: (reader) => reader.u32be('UINT32'),
  write: (writer, value) => void writer.u32be(checked(value, 0xffffffff)),
};

export const int32: Codec<number> = {
  name: 'INT32',
  shape: { kind: 'integer', bits: 32, signed: true },
  read: (reader) => reader.u32be('INT32') | 0,
  write: (writer, value) => void writer.u32be((value | 0) === value ? value >>> 0 : refuse(`${value} is no INT32`)),
};

export const uint64: Codec<bigint> = {
  name: 'UINT64',
  shape: { kind: 'integer', bits: 64 },
  read: (reader) => reader.u64be('UINT64'),
  write: (writer, value) =>
    void writer.u64be(value >= 0n && value < 1n << 64n ? value : refuse(`${value} is no UINT64`)),
};

/** The same bytes under the specification's name for them. */
export function named<T>(name: string, codec: Codec<T>): Codec<T> {
  return { ...codec, name };
}
