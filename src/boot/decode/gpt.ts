import type { ByteReader } from '../../bytes/index.ts';
import { guidName, readGuid } from './guid.ts';
import { readUtf16 } from './text.ts';

/** UEFI_GPT_DATA: the partition table's header and the entries in use. */
export interface Gpt {
  readonly diskGuid: string;
  readonly firstUsableLba: bigint;
  readonly lastUsableLba: bigint;
  readonly partitions: readonly Partition[];
}

/** EFI_PARTITION_ENTRY (UEFI 2.10, 5.3.3). */
export interface Partition {
  readonly typeGuid: string;
  /** Where the field has one for the type. */
  readonly typeName: string | undefined;
  readonly guid: string;
  readonly firstLba: bigint;
  readonly lastLba: bigint;
  readonly attributes: bigint;
  readonly name: string;
}

const SIGNATURE = 'EFI PART';
const HEADER_SIZE = 92;
const ENTRY_SIZE = 128;
const NAME_UNITS = 36;

/** @throws {ParseError} */
export function readGpt(reader: ByteReader): Gpt {
  const header = reader.section(HEADER_SIZE, 'GPT header');
  const at = header.offset;
  const signature = Buffer.from(header.bytes(8, 'GPT signature')).toString('latin1');
  if (signature !== SIGNATURE) header.fail('parse.invalid', 'GPT signature', `is not '${SIGNATURE}'`, at);
  header.bytes(32, 'GPT header'); // revision, sizes, CRC and the header's own places
  const firstUsableLba = header.u64le('GPT, first usable block');
  const lastUsableLba = header.u64le('GPT, last usable block');
  const diskGuid = readGuid(header, 'GPT, disk');
  header.bytes(12, 'GPT header'); // place and number of the entries on disk
  const sizeAt = header.offset;
  const entrySize = header.u32le('GPT, entry size');
  if (entrySize < ENTRY_SIZE) header.fail('parse.invalid', 'GPT, entry size', `${entrySize} bytes`, sizeAt);
  const countAt = reader.offset;
  const count = reader.u64le('GPT, partitions');
  if (count * BigInt(entrySize) > BigInt(reader.remaining)) {
    reader.fail('parse.truncated', 'GPT, partitions', `${count}, ${reader.remaining} bytes are left`, countAt);
  }
  const partitions: Partition[] = [];
  for (let i = 0; i < count; i++) partitions.push(readPartition(reader.section(entrySize, 'partition')));
  return { diskGuid, firstUsableLba, lastUsableLba, partitions };
}

function readPartition(reader: ByteReader): Partition {
  const typeGuid = readGuid(reader, 'partition, type');
  return {
    typeGuid,
    typeName: guidName(typeGuid),
    guid: readGuid(reader, 'partition, GUID'),
    firstLba: reader.u64le('partition, first block'),
    lastLba: reader.u64le('partition, last block'),
    attributes: reader.u64le('partition, attributes'),
    name: readUtf16(reader, NAME_UNITS, 'partition, name'),
  };
}
