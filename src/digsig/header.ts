/**
 * A signature as it stands behind the type byte of `security.ima` and `security.evm` (kernel:
 * `security/integrity/integrity.h` struct signature_v2_hdr, `include/linux/digsig.h` struct signature_hdr).
 */
import { ByteReader, ByteWriter, type DigestAlgorithm, digestInfo, digestInfoByKernelId } from '../bytes/index.ts';
import { DigsigError } from './error.ts';
import { type KeyId, keyId } from './key-id.ts';

/** Format 1, legacy: RSA alone, and the digest that is signed covers this header too. */
export interface SignatureV1 {
  readonly version: 1;
  /** When it was made, in seconds since the epoch. */
  readonly time: number;
  readonly algorithm: 'sha1' | 'sha256';
  /** 8 bytes. */
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

/** Format 2 signs the digest, format 3 the digest's `fileIdDigest`. */
export interface SignatureV2 {
  readonly version: 2 | 3;
  /** `enum hash_algo`. */
  readonly hashId: number;
  /** Undefined where `hashId` is no algorithm that Assay can compute. */
  readonly algorithm: DigestAlgorithm | undefined;
  readonly keyId: KeyId;
  /** RSA: as long as the modulus. EC: ECDSA-Sig-Value in DER. */
  readonly signature: Uint8Array;
}

export type SignatureHeader = SignatureV1 | SignatureV2;

/** Room for RSA-8192; the kernel takes what fits an attribute. */
const MAX_SIGNATURE = 65535;

/** `enum digest_algo` of format 1. */
const V1_ALGORITHMS = ['sha1', 'sha256'] as const;

export const V1_HEADER_SIZE = 16;

/**
 * @param bytes what follows the attribute's type byte; all of it
 * @param base offset of `bytes` in what a person looks at, for errors
 * @throws {ParseError} for other versions, sizes that do not agree, and bytes left over
 */
export function parseSignature(bytes: Uint8Array, base = 0): SignatureHeader {
  const reader = new ByteReader(bytes, base);
  const version = reader.u8('signature version');
  if (version === 1) return parseV1(reader);
  if (version === 2 || version === 3) return parseV2(reader, version);
  return reader.fail('parse.unknown-value', 'signature version', `${version} is not known`, base);
}

function parseV1(reader: ByteReader): SignatureV1 {
  // In the byte order of the machine that signed. A big-endian one's time reads wrong; its signature verifies all the same.
  const time = reader.u32le('signature time');
  const publicKeyAlgorithm = reader.u8('signature algorithm');
  if (publicKeyAlgorithm !== 0) reader.fail('parse.unknown-value', 'signature algorithm', 'not RSA', reader.offset - 1);
  const algorithm = V1_ALGORITHMS[reader.u8('signature hash')];
  if (algorithm === undefined) {
    reader.fail('parse.unknown-value', 'signature hash', 'neither sha1 nor sha256', reader.offset - 1);
  }
  const id = reader.bytes(8, 'signature key id');
  if (reader.u8('signature count') !== 1) {
    reader.fail('parse.invalid', 'signature count', 'must be 1', reader.offset - 1);
  }
  const bits = reader.u16be('signature length in bits');
  const signature = reader.bytes(Math.ceil(bits / 8), 'signature');
  reader.end('signature');
  return { version: 1, time, algorithm, keyId: id, signature };
}

function parseV2(reader: ByteReader, version: 2 | 3): SignatureV2 {
  const hashId = reader.u8('signature hash');
  const id = keyId(reader.u32be('signature key id'));
  const length = reader.u16be('signature length');
  // asymmetric_verify refuses a header alone.
  if (length === 0) reader.fail('parse.invalid', 'signature length', 'there is no signature', reader.offset - 2);
  const signature = reader.bytes(length, 'signature');
  reader.end('signature');
  return { version, hashId, algorithm: digestInfoByKernelId(hashId)?.name, keyId: id, signature };
}

/** The 16 bytes of format 1 that are part of what is signed. */
export function encodeV1Header({ time, algorithm, keyId: id }: Omit<SignatureV1, 'signature'>): Uint8Array {
  return new ByteWriter(V1_HEADER_SIZE)
    .u8(1)
    .u32le(time)
    .u8(0)
    .u8(V1_ALGORITHMS.indexOf(algorithm))
    .bytes(id)
    .u8(1)
    .finish();
}

/** What {@link parseSignature} reads. @throws {DigsigError} `digsig.cannot-sign` for a signature that no header can describe */
export function encodeSignature(header: SignatureV1 | Omit<SignatureV2, 'hashId'>): Buffer {
  const { length } = header.signature;
  if (length === 0 || length > MAX_SIGNATURE || (header.version === 1 && length * 8 > 0xffff)) {
    throw new DigsigError('digsig.cannot-sign', `a signature of ${length} bytes does not fit its header`);
  }
  if (header.version === 1) {
    const writer = new ByteWriter(V1_HEADER_SIZE + 2 + length).bytes(encodeV1Header(header)).u16be(length * 8);
    return Buffer.from(writer.bytes(header.signature).finish().buffer);
  }
  if (header.algorithm === undefined) throw new DigsigError('digsig.cannot-sign', 'no digest algorithm is named');
  const bytes = Buffer.allocUnsafe(8 + length);
  bytes[0] = header.version;
  bytes[1] = digestInfo(header.algorithm).kernelId;
  bytes.writeUInt32BE(header.keyId, 2);
  bytes.writeUInt16BE(length, 6);
  bytes.set(header.signature, 8);
  return bytes;
}
