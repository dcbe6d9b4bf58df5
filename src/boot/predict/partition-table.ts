/** The GUID partition table as firmware measures it into PCR 5, for the disk that it starts from alone. */
import { ByteReader, ParseError } from '../../bytes/index.ts';
import { type BootFile, type Measurement, notPredictable } from './measurement.ts';

const GPT_PCR = 5;
const SIGNATURE = Buffer.from('EFI PART', 'latin1');
const SECTORS = [512, 4096];
/** UEFI 2.10, 5.3.2: EFI_PARTITION_TABLE_HEADER. */
const HEADER = { size: 92, entriesAt: 72 } as const;
const MAX_ENTRIES = 1024;

/**
 * UEFI_GPT_DATA: the header, how many entries are in use, and these (TCG PC Client PFP 1.06, 10.4; EDK II,
 * DxeTpm2MeasureBootLib.c:Tcg2MeasureGptTable).
 * @param disk its beginning, up to the table's end: 1 MiB is enough
 */
export function partitionTableMeasurement(disk: BootFile): Measurement {
  try {
    return { pcr: GPT_PCR, what: 'partition table', source: disk.name, over: { bytes: gptData(disk) } };
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw notPredictable(`${disk.name}: partition table: ${error.message}`);
  }
}

function gptData({ name, bytes }: BootFile): Buffer {
  const sector = SECTORS.find((size) => SIGNATURE.equals(bytes.subarray(size, size + SIGNATURE.length)));
  if (sector === undefined) {
    throw notPredictable(`${name}: has no GUID partition table`, 'name the whole disk or an image of it');
  }
  const reader = new ByteReader(bytes);
  reader.bytes(sector, 'before the table');
  const header = reader.bytes(HEADER.size, 'header');
  const fields = new ByteReader(header);
  fields.bytes(HEADER.entriesAt, 'header');
  const place = fields.u64le('place of entries');
  const count = fields.u32le('number of entries');
  const size = fields.u32le('size of an entry');
  if (count > MAX_ENTRIES || size < 128 || size > 4096 || place > BigInt(bytes.length)) {
    throw notPredictable(`${name}: partition table of ${count} entries of ${size} bytes at sector ${place}`);
  }
  const table = new ByteReader(bytes);
  table.bytes(Number(place) * sector, 'before the entries');
  const used: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const entry = table.bytes(size, `entry ${i}`);
    if (entry.subarray(0, 16).some((byte) => byte !== 0)) used.push(entry);
  }
  const number = Buffer.alloc(8);
  number.writeBigUInt64LE(BigInt(used.length));
  return Buffer.concat([header, number, ...used]);
}
