/** Sized buffers and lists: TPM2B_ and TPML_. */
import type { ByteReader, ByteWriter } from '../../bytes/index.ts';
import { inField } from '../errors.ts';
import { TPM_RC } from '../response-codes.ts';
import { type Codec, refuse, reject } from './codec.ts';
import { checked } from './integers.ts';
import { maximumOf } from './profile.ts';

/** TPM2B_… of plain bytes: UINT16 size, at most `max`, then the bytes. */
export function tpm2b(name: string, max: number): Codec<Uint8Array> {
  return {
    name,
    shape: { kind: 'bytes', max },
    isTpm2b: true,
    read(reader) {
      const start = reader.offset;
      const size = reader.u16be(name);
      const most = maximumOf(reader, name, max);
      if (size > most) reject(reader, 'parse.too-large', `${size} bytes, at most ${most}`, TPM_RC.SIZE, start);
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
    shape: { kind: 'bytes', max },
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

/** The structure within a TPM2B. As the reference code, this reads on past the size, and then compares. */
function readSized<T>(reader: ByteReader, size: number, field: string, codec: Codec<T>): T {
  const start = reader.offset;
  try {
    const value = codec.read(reader);
    const read = reader.offset - start;
    if (read !== size) reject(reader, 'parse.invalid', `size ${size}, structure ${read}`, TPM_RC.SIZE, start);
    return value;
  } catch (error) {
    throw inField(error, field);
  }
}

/** TPM2B_… around one structure; the value is the structure itself. An empty one is answered with TPM_RC_SIZE. */
export function sized<T>(name: string, field: string, codec: Codec<T>): Codec<T> {
  return {
    name,
    shape: { kind: 'sized', inner: codec, mayBeEmpty: false },
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
    shape: { kind: 'sized', inner: codec, mayBeEmpty: true },
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

/** TPML_…: UINT32 count, `min` to `max`, then the elements. Too many or too few are answered with TPM_RC_SIZE. */
export function list<T>(name: string, element: Codec<T>, max: number, min = 0): Codec<readonly T[]> {
  return {
    name,
    shape: { kind: 'list', element, min, max },
    read(reader) {
      const start = reader.offset;
      const count = reader.u32be(name);
      const most = maximumOf(reader, name, max);
      if (count > most) reject(reader, 'parse.too-large', `${count} elements, at most ${most}`, TPM_RC.SIZE, start);
      if (count < min) reject(reader, 'parse.invalid', `${count} elements, at least ${min}`, TPM_RC.SIZE, start);
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
      if (values.length < min) refuse(`${values.length} elements, at least ${min}`);
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
