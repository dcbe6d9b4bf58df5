/**
 * The PCR file of `tpm2_quote --pcr` (tpm2-tools 5.4, lib/pcr.c: pcr_fwrite_serialized): C structures as they lie in
 * memory, numbers little endian. TPML_PCR_SELECTION (a count, 16 × {hash u16, size u8, 4 octets, 1 of padding}), a count
 * of lists u32, then that many TPML_DIGEST (a count, 8 × {size u16, 64 octets}).
 */
import { ByteReader, ByteWriter, digestInfo, digestInfoByTpmAlg } from '../../bytes/index.ts';
import type { SelectedPcrs } from '../attestation/quote.ts';

const BANKS = 16;
const SELECT_OCTETS = 4;
const DIGESTS_A_LIST = 8;
const DIGEST_OCTETS = 64;
/** 16 banks of 32 PCRs, 8 to a list. */
const MAX_LISTS = 64;

interface Selection {
  readonly hash: SelectedPcrs['hash'];
  readonly indices: readonly number[];
}

/** @throws {ParseError} with the offset */
export function readPcrValues(bytes: Uint8Array): SelectedPcrs[] {
  const reader = new ByteReader(bytes);
  const selections = readSelections(reader);
  const values = readDigests(reader);
  reader.end('PCR file');
  let next = 0;
  const banks = selections.map(({ hash, indices }) => ({
    hash,
    pcrs: indices.map((index) => {
      const value = values[next++];
      if (value === undefined)
        return reader.fail('parse.truncated', `PCR ${index} of ${hash}`, 'has no value in the file');
      const { size } = digestInfo(hash);
      if (value.length !== size) {
        reader.fail('parse.invalid', `PCR ${index} of ${hash}`, `has ${value.length} bytes, not ${size}`);
      }
      return { index, value };
    }),
  }));
  if (next < values.length)
    reader.fail('parse.invalid', 'PCR file', `${values.length - next} values that no PCR selects`);
  return banks;
}

function readSelections(reader: ByteReader): Selection[] {
  const count = reader.u32le('TPML_PCR_SELECTION.count');
  if (count > BANKS) reader.fail('parse.too-large', 'TPML_PCR_SELECTION.count', `${count} banks, at most ${BANKS}`);
  const all = Array.from({ length: BANKS }, (_, i) => readSelection(reader, i < count));
  return all.filter((selection) => selection !== undefined);
}

function readSelection(reader: ByteReader, isUsed: boolean): Selection | undefined {
  const start = reader.offset;
  const alg = reader.u16le('hash');
  const size = reader.u8('sizeofSelect');
  const bits = reader.bytes(SELECT_OCTETS, 'pcrSelect');
  reader.bytes(1, 'padding');
  if (!isUsed) return undefined;
  const info = digestInfoByTpmAlg(alg);
  if (info === undefined) return reader.fail('parse.unknown-value', 'hash', `0x${alg.toString(16)} is no hash`, start);
  if (size > SELECT_OCTETS) return reader.fail('parse.too-large', 'sizeofSelect', `${size}, at most 4`, start + 2);
  const indices = Array.from({ length: size * 8 }, (_, pcr) => pcr);
  return { hash: info.name, indices: indices.filter((pcr) => (((bits[pcr >> 3] ?? 0) >> (pcr & 7)) & 1) === 1) };
}

function readDigests(reader: ByteReader): Uint8Array[] {
  const lists = reader.u32le('number of TPML_DIGEST');
  if (lists > MAX_LISTS) reader.fail('parse.too-large', 'number of TPML_DIGEST', `${lists}, at most ${MAX_LISTS}`);
  return Array.from({ length: lists }, () => readDigestList(reader)).flat();
}

function readDigestList(reader: ByteReader): Uint8Array[] {
  const count = reader.u32le('TPML_DIGEST.count');
  if (count > DIGESTS_A_LIST)
    reader.fail('parse.too-large', 'TPML_DIGEST.count', `${count}, at most ${DIGESTS_A_LIST}`);
  const all = Array.from({ length: DIGESTS_A_LIST }, () => {
    const size = reader.u16le('TPM2B_DIGEST.size');
    if (size > DIGEST_OCTETS) reader.fail('parse.too-large', 'TPM2B_DIGEST.size', `${size}, at most ${DIGEST_OCTETS}`);
    return reader.bytes(DIGEST_OCTETS, 'TPM2B_DIGEST.buffer').subarray(0, size);
  });
  return all.slice(0, count);
}

/** The file that tpm2_checkquote reads. */
export function writePcrValues(banks: readonly SelectedPcrs[]): Uint8Array {
  const writer = new ByteWriter(1024);
  writer.u32le(banks.length);
  for (let i = 0; i < BANKS; i++) writeSelection(writer, banks[i]);
  const values = banks.flatMap(({ pcrs }) => inOrder(pcrs).map(({ value }) => value));
  const lists = Math.ceil(values.length / DIGESTS_A_LIST);
  writer.u32le(lists);
  for (let i = 0; i < lists; i++) writeDigestList(writer, values.slice(i * DIGESTS_A_LIST, (i + 1) * DIGESTS_A_LIST));
  return writer.finish();
}

const inOrder = (pcrs: SelectedPcrs['pcrs']): SelectedPcrs['pcrs'] => [...pcrs].sort((a, b) => a.index - b.index);

function writeSelection(writer: ByteWriter, bank: SelectedPcrs | undefined): void {
  const bits = new Uint8Array(SELECT_OCTETS);
  for (const { index } of bank?.pcrs ?? []) bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7));
  writer.u16le(bank === undefined ? 0 : (digestInfo(bank.hash).tpmAlg ?? 0)).u8(bank === undefined ? 0 : 3);
  writer.bytes(bits).u8(0);
}

function writeDigestList(writer: ByteWriter, values: readonly Uint8Array[]): void {
  writer.u32le(values.length);
  for (let i = 0; i < DIGESTS_A_LIST; i++) {
    const value = values[i] ?? new Uint8Array(0);
    writer
      .u16le(value.length)
      .bytes(value)
      .bytes(new Uint8Array(DIGEST_OCTETS - value.length));
  }
}
