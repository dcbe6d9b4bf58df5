/** PE/COFF images as UEFI loads them: headers, sections, certificate table (Microsoft PE/COFF specification; UEFI 2.10, 2.1.1). */
import { ByteReader, ParseError } from '../../bytes/index.ts';

export interface PeSection {
  /** As the eight bytes of the header give it, without the NULs behind: `.linux`. */
  readonly name: string;
  /** Bytes in memory. */
  readonly virtualSize: number;
  readonly virtualAddress: number;
  /** Bytes in the file, from `fileOffset` on. */
  readonly fileSize: number;
  readonly fileOffset: number;
}

/** An image's headers, every range of which was checked to lie within the file. Offsets are in bytes from its start. */
export interface PeImage {
  readonly bytes: Uint8Array;
  /** IMAGE_FILE_HEADER.Machine: 0x8664 x86-64, 0xaa64 AArch64. */
  readonly machine: number;
  readonly sizeOfHeaders: number;
  /** Where the checksum stands that a signature leaves out. */
  readonly checksumOffset: number;
  /** Where the certificate table's directory entry stands; undefined in an image that has too few entries for one. */
  readonly certificateEntryOffset: number | undefined;
  /** The certificate table; undefined where there is none. */
  readonly certificates: { readonly offset: number; readonly size: number } | undefined;
  readonly sections: readonly PeSection[];
}

const DOS_MAGIC = 0x5a4d;
const PE_OFFSET_AT = 0x3c;
const PE_SIGNATURE = 0x00004550;
const PE32 = 0x10b;
const PE32_PLUS = 0x20b;
/** Windows' loader takes 96; a unified kernel image has some twenty. */
const MAX_SECTIONS = 96;
const MAX_DIRECTORIES = 16;
const CERTIFICATE_DIRECTORY = 4;
const DIRECTORY_SIZE = 8;
const CHECKSUM_AT = 64;
const SECTION_HEADER_SIZE = 40;

/**
 * Reads an image's headers.
 * @throws {ParseError} with the offset: no PE image, more sections than a loader takes, a range outside of the file
 */
export function parsePe(bytes: Uint8Array): PeImage {
  const dos = new ByteReader(bytes);
  if (dos.u16le('DOS header, magic') !== DOS_MAGIC) dos.fail('parse.invalid', 'DOS header, magic', 'not MZ', 0);
  dos.bytes(PE_OFFSET_AT - 2, 'DOS header');
  const peOffset = dos.u32le('DOS header, PE offset');
  if (peOffset > bytes.length)
    dos.fail('parse.invalid', 'PE offset', `${peOffset} is outside of the file`, PE_OFFSET_AT);
  const reader = new ByteReader(bytes.subarray(peOffset), peOffset);
  if (reader.u32le('PE signature') !== PE_SIGNATURE) reader.fail('parse.invalid', 'PE signature', 'not PE', peOffset);
  const machine = reader.u16le('COFF header, machine');
  const sectionCount = reader.u16le('COFF header, number of sections');
  if (sectionCount > MAX_SECTIONS) {
    reader.fail('parse.too-large', 'number of sections', `${sectionCount}, above ${MAX_SECTIONS}`, reader.offset - 2);
  }
  reader.bytes(4, 'COFF header');
  const names = stringTable(bytes, reader.u32le('COFF header, symbol table'), reader.u32le('COFF header, symbols'));
  const optionalSize = reader.u16le('COFF header, size of the optional header');
  reader.bytes(2, 'COFF header, characteristics');
  const optional = readOptionalHeader(reader.section(optionalSize, 'optional header'), bytes.length);
  const sections: PeSection[] = [];
  for (let i = 0; i < sectionCount; i++) sections.push(readSection(reader, bytes.length, names));
  if (optional.sizeOfHeaders < reader.offset) {
    reader.fail('parse.invalid', 'SizeOfHeaders', `${optional.sizeOfHeaders} leaves the section headers out`);
  }
  return { bytes, machine, sections, ...optional };
}

type OptionalHeader = Pick<PeImage, 'sizeOfHeaders' | 'checksumOffset' | 'certificateEntryOffset' | 'certificates'>;

function readOptionalHeader(reader: ByteReader, fileSize: number): OptionalHeader {
  const start = reader.offset;
  const magic = reader.u16le('optional header, magic');
  if (magic !== PE32 && magic !== PE32_PLUS) {
    reader.fail('parse.unknown-value', 'optional header, magic', `0x${magic.toString(16)}`, start);
  }
  reader.bytes(58, 'optional header');
  const sizeOfHeaders = reader.u32le('SizeOfHeaders');
  if (sizeOfHeaders > fileSize) {
    reader.fail('parse.invalid', 'SizeOfHeaders', `${sizeOfHeaders}, the file has ${fileSize}`, reader.offset - 4);
  }
  reader.bytes(magic === PE32 ? 28 : 44, 'optional header');
  const directories = reader.u32le('NumberOfRvaAndSizes');
  if (directories > MAX_DIRECTORIES) {
    reader.fail('parse.too-large', 'NumberOfRvaAndSizes', `${directories}, above 16`, reader.offset - 4);
  }
  const found = { sizeOfHeaders, checksumOffset: start + CHECKSUM_AT };
  if (directories <= CERTIFICATE_DIRECTORY)
    return { ...found, certificateEntryOffset: undefined, certificates: undefined };
  reader.bytes(CERTIFICATE_DIRECTORY * DIRECTORY_SIZE, 'data directories');
  const certificateEntryOffset = reader.offset;
  const offset = reader.u32le('certificate table, offset');
  const size = reader.u32le('certificate table, size');
  if (size === 0) return { ...found, certificateEntryOffset, certificates: undefined };
  if (offset < sizeOfHeaders || offset + size > fileSize) {
    reader.fail(
      'parse.invalid',
      'certificate table',
      `${size} bytes at ${offset}, outside of the file`,
      certificateEntryOffset,
    );
  }
  return { ...found, certificateEntryOffset, certificates: { offset, size } };
}

const SYMBOL_SIZE = 18;

/** Where the GNU tools put names of more than eight letters: behind the symbols. */
function stringTable(bytes: Uint8Array, symbols: number, count: number): Uint8Array {
  return symbols === 0 ? new Uint8Array() : bytes.subarray(symbols + count * SYMBOL_SIZE);
}

/** `/14` is the name at that offset of the string table; a name outside of it stays as it is. */
function sectionName(short: string, names: Uint8Array): string {
  const offset = /^\/\d{1,7}$/.test(short) ? Number(short.slice(1)) : undefined;
  const long = offset === undefined ? undefined : names.subarray(offset, offset + MAX_NAME);
  const end = long?.indexOf(0) ?? -1;
  return long === undefined || end <= 0 ? short : Buffer.from(long.subarray(0, end)).toString('latin1');
}

const MAX_NAME = 256;

function readSection(reader: ByteReader, fileLength: number, names: Uint8Array): PeSection {
  const at = reader.offset;
  const header = reader.section(SECTION_HEADER_SIZE, 'section header');
  const [short = ''] = Buffer.from(header.bytes(8, 'section name')).toString('latin1').split('\0');
  const name = sectionName(short, names);
  const virtualSize = header.u32le('section, virtual size');
  const virtualAddress = header.u32le('section, virtual address');
  const fileSize = header.u32le('section, size in the file');
  const fileOffset = header.u32le('section, offset in the file');
  // An offset without bytes says nothing: sections that live in memory alone have any.
  if (fileSize > 0 && fileOffset + fileSize > fileLength) {
    reader.fail('parse.invalid', `section ${name}`, `${fileSize} bytes at ${fileOffset}, outside of the file`, at);
  }
  return { name, virtualSize, virtualAddress, fileSize, fileOffset };
}

/** Zeros behind a section's bytes in memory that are worth making: alignment, not a bss of gigabytes. */
const MAX_ZEROS = 1 << 20;

/** A section's bytes as they lie in memory: cut to its virtual size, or zeros behind. @throws {ParseError} where those are many */
export function sectionBytes({ bytes }: PeImage, section: PeSection): Uint8Array {
  const { fileOffset, fileSize, virtualSize, name } = section;
  const inFile = bytes.subarray(fileOffset, fileOffset + Math.min(fileSize, virtualSize));
  if (inFile.length === virtualSize) return inFile;
  if (virtualSize - inFile.length > MAX_ZEROS) {
    throw new ParseError('parse.too-large', `section ${name}`, fileOffset, `${virtualSize} bytes in memory`);
  }
  return Buffer.concat([inFile], virtualSize);
}

/** The section of that name. @throws {ParseError} where two have it: loaders differ in which they take */
export function findSection(image: PeImage, name: string): PeSection | undefined {
  const [section, second] = image.sections.filter((candidate) => candidate.name === name);
  if (second !== undefined) {
    throw new ParseError('parse.invalid', `section ${name}`, second.fileOffset, 'stands twice');
  }
  return section;
}
