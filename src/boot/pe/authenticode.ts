/** Authenticode: the digest that an image's signature is over, and that firmware measures, and who signed. */
import { ByteReader, type DigestAlgorithm, digest, ParseError } from '../../bytes/index.ts';
import { type PeImage, parsePe } from './image.ts';

/**
 * The image's digest without its checksum, its certificate table and that table's directory entry. Bytes behind the last
 * section count, as Windows and EDK II have it.
 * Source: Microsoft, "Windows Authenticode Portable Executable Signature Format", "Calculating the PE Image Hash";
 * EDK II, DxeTpm2MeasureBootLib.c:MeasurePeImageAndExtend.
 * @throws {ParseError} no PE image; sections that overlap, whose bytes a loader would hash twice
 */
export function authenticodeDigest(image: Uint8Array | PeImage, algorithm: DigestAlgorithm): Buffer {
  return digest(algorithm, ...hashedParts(image instanceof Uint8Array ? parsePe(image) : image));
}

function hashedParts(image: PeImage): Uint8Array[] {
  const { bytes, sizeOfHeaders, checksumOffset, certificateEntryOffset, certificates } = image;
  const parts = [bytes.subarray(0, checksumOffset)];
  const afterChecksum = checksumOffset + 4;
  if (certificateEntryOffset === undefined) {
    parts.push(bytes.subarray(afterChecksum, sizeOfHeaders));
  } else {
    parts.push(bytes.subarray(afterChecksum, certificateEntryOffset));
    parts.push(bytes.subarray(certificateEntryOffset + 8, sizeOfHeaders));
  }
  let hashed = sizeOfHeaders;
  for (const section of inFileOrder(image)) {
    parts.push(bytes.subarray(section.fileOffset, section.fileOffset + section.fileSize));
    hashed += section.fileSize;
  }
  // The firmware counts bytes instead of looking where the last section ends.
  const end = bytes.length - (certificates?.size ?? 0);
  if (hashed < end) parts.push(bytes.subarray(hashed, end));
  return parts;
}

function inFileOrder({ sections, sizeOfHeaders }: PeImage): PeImage['sections'] {
  const sorted = sections.filter(({ fileSize }) => fileSize > 0).sort((a, b) => a.fileOffset - b.fileOffset);
  let end = sizeOfHeaders;
  for (const section of sorted) {
    if (section.fileOffset < end) {
      throw new ParseError(
        'parse.invalid',
        `section ${section.name}`,
        section.fileOffset,
        'overlaps what stands before it',
      );
    }
    end = section.fileOffset + section.fileSize;
  }
  return sorted;
}

const PKCS_SIGNED_DATA = 0x0002;
const WIN_CERTIFICATE_HEADER = 8;
const MAX_SIGNATURES = 16;

/** The PKCS #7 signatures (DER) of an image's certificate table, in its order; those of other kinds are passed over. */
export function imageSignatures({ bytes, certificates }: PeImage): Uint8Array[] {
  if (certificates === undefined) return [];
  const { offset, size } = certificates;
  const reader = new ByteReader(bytes.subarray(offset, offset + size), offset);
  const signatures: Uint8Array[] = [];
  while (reader.remaining >= WIN_CERTIFICATE_HEADER) {
    const at = reader.offset;
    const length = reader.u32le('WIN_CERTIFICATE, length');
    const revision = reader.u16le('WIN_CERTIFICATE, revision');
    const type = reader.u16le('WIN_CERTIFICATE, type');
    // What is left is the padding that aligns the table.
    if (length === 0 && revision === 0) break;
    if (length < WIN_CERTIFICATE_HEADER) {
      reader.fail('parse.invalid', 'WIN_CERTIFICATE, length', `${length}, less than its head`, at);
    }
    if (signatures.length === MAX_SIGNATURES) {
      reader.fail('parse.too-large', 'certificate table', `more than ${MAX_SIGNATURES} signatures`, at);
    }
    const content = reader.bytes(length - WIN_CERTIFICATE_HEADER, 'WIN_CERTIFICATE, content');
    if (type === PKCS_SIGNED_DATA) signatures.push(content);
    const padding = (8 - (length % 8)) % 8;
    reader.bytes(Math.min(padding, reader.remaining), 'WIN_CERTIFICATE, padding');
  }
  return signatures;
}
