/** Sized buffers and lists: TPM2B_ and TPML_. */
import type { ByteReader, ByteWriter } from '../../bytes/index.ts';
import { inField, TpmParseError, withRc } from '../errors.ts';
import { TPM_RC } from '../response-codes.ts';
import { type Codec, refuse, reject } from './codec.ts';
import { checked } from './integers.ts';

/** TPM2B_… of plain bytes: UINT16 size, at most `max`, then the bytes. */
export function tpm2b(name: string, max: number): Codec<Uint8Array> {
  return {
    name,
    shape: { kind: 'bytes', max },
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

/** TPML_…: UINT32 count, at most `max`, then the elements. Too many are answered with TPM_RC_SIZE. */
export function list<T>(name: string, element: Codec<T>, max: number): Codec<readonly T[]> {
  return {
    name,
    shape: { kind: 'list', element, max },
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
