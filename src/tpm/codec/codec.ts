/**
 * Structures are declared once, as values, and both ends read and write through the declaration:
 *
 *     export const TPMS_QUOTE_INFO = struct('TPMS_QUOTE_INFO', { pcrSelect: TPML_PCR_SELECTION, pcrDigest: TPM2B_DIGEST });
 *     export type TPMS_QUOTE_INFO = TypeOf<typeof TPMS_QUOTE_INFO>;
 *
 * Reading copies what it keeps, checks every size against what is left before it allocates, and raises only
 * {@link TpmParseError}. Writing raises only {@link TpmError} `tpm.argument`.
 */
import { ByteReader, ByteWriter } from '../../bytes/index.ts';
import { inField, TpmError, TpmParseError } from '../errors.ts';
import { TPM_RC } from '../response-codes.ts';

/** A bit's position, or the lowest and highest bit of a number within the attributes. */
export type BitPlace = number | readonly [low: number, high: number];

/** How a type is made, for documentation and for tests that make up values of every type. */
export type Shape =
  | { readonly kind: 'integer'; readonly bits: 8 | 16 | 32 | 64; readonly signed?: true }
  | { readonly kind: 'constant'; readonly values: Readonly<Record<string, number>> }
  | { readonly kind: 'attributes'; readonly places: Readonly<Record<string, BitPlace>> }
  | { readonly kind: 'bytes'; readonly max: number }
  | { readonly kind: 'sized'; readonly inner: Codec<unknown>; readonly mayBeEmpty: boolean }
  | { readonly kind: 'list'; readonly element: Codec<unknown>; readonly min: number; readonly max: number }
  | { readonly kind: 'struct'; readonly fields: FieldEntries }
  | {
      readonly kind: 'tagged';
      readonly selector: string;
      readonly shared: FieldEntries;
      readonly variants: ReadonlyMap<string, FieldEntries>;
    }
  /** Written by hand: its codec says all there is to say. */
  | { readonly kind: 'own' };

/** Field names and types in the specification's order. */
export type FieldEntries = readonly (readonly [name: string, codec: Codec<unknown>])[];

export interface Codec<T> {
  /** The type's name in TPM 2.0 Part 2. */
  readonly name: string;
  readonly shape: Shape;
  /** True for a TPM2B_…: as a first parameter it can be encrypted (Part 1, 21.2). */
  readonly isTpm2b?: boolean;
  read(reader: ByteReader): T;
  write(writer: ByteWriter, value: T): void;
}

export type TypeOf<C> = C extends Codec<infer T> ? T : never;

export type Fields = Readonly<Record<string, Codec<unknown>>>;
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

/** Raises `tpm.argument`: a value does not fit its field. */
export function refuse(detail: string): never {
  throw new TpmError('tpm.argument', detail);
}
