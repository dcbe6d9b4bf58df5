/** The value of `security.ima` (kernel: `security/integrity/integrity.h`, enum evm_ima_xattr_type; `ima_appraise.c`). */
import { ByteReader, type DigestAlgorithm, digestInfo, digestInfoByKernelId, ParseError } from '../bytes/index.ts';
import { parseSignature, type SignatureHeader } from '../digsig/index.ts';

export const IMA_XATTR = 'security.ima';

export const IMA_TYPE = { legacyDigest: 0x01, signature: 0x03, digest: 0x04, veritySignature: 0x06 } as const;

export type ImaLabel =
  | {
      readonly kind: 'digest';
      readonly algorithm: DigestAlgorithm;
      readonly digest: Uint8Array;
      /** 01: without an algorithm, which its size tells. */
      readonly legacy: boolean;
    }
  /** Over the digest of the content, or over that of fs-verity. */
  | { readonly kind: 'signature'; readonly verity: boolean; readonly header: SignatureHeader };

/**
 * Strict: what the kernel reads past (bytes behind a digest) is refused here. {@link appraiseIma} judges as the kernel does.
 * @throws {ParseError} for other types, unknown algorithms, sizes that do not agree, and bytes left over
 */
export function parseImaXattr(bytes: Uint8Array): ImaLabel {
  const reader = new ByteReader(bytes);
  const type = reader.u8('security.ima type');
  switch (type) {
    case IMA_TYPE.legacyDigest:
      return parseLegacyDigest(reader);
    case IMA_TYPE.digest:
      return parseDigest(reader);
    case IMA_TYPE.signature:
    case IMA_TYPE.veritySignature: {
      const header = parseSignature(reader.rest(), 1);
      return { kind: 'signature', verity: type === IMA_TYPE.veritySignature, header };
    }
    default:
      throw new ParseError('parse.unknown-value', 'security.ima type', 0, `${type} is not known`);
  }
}

/** 16 bytes are MD5; so are 20 whose last four are zero, which early kernels wrote (ima_get_hash_algo). Else SHA-1. */
function parseLegacyDigest(reader: ByteReader): ImaLabel {
  const all = reader.rest();
  const algorithm = legacyAlgorithm(all);
  if (algorithm === undefined) {
    throw new ParseError('parse.invalid', 'security.ima legacy digest', 1, `${all.length} bytes; it has 16 or 20`);
  }
  return { kind: 'digest', algorithm, digest: all.subarray(0, digestInfo(algorithm).size), legacy: true };
}

function legacyAlgorithm(digest: Uint8Array): 'md5' | 'sha1' | undefined {
  if (digest.length === 16) return 'md5';
  if (digest.length !== 20) return undefined;
  return digest.subarray(16).every((byte) => byte === 0) ? 'md5' : 'sha1';
}

function parseDigest(reader: ByteReader): ImaLabel {
  const id = reader.u8('security.ima algorithm');
  const info = digestInfoByKernelId(id);
  if (info === undefined) throw unknownAlgorithm(id);
  const digest = reader.bytes(info.size, 'security.ima digest');
  reader.end('security.ima');
  return { kind: 'digest', algorithm: info.name, digest, legacy: false };
}

/** `enum hash_algo`: what the kernel has and Assay cannot compute. */
const NOT_COMPUTED: Readonly<Record<number, string>> = {
  0: 'md4',
  8: 'rmd128',
  9: 'rmd256',
  10: 'rmd320',
  11: 'wp256',
  12: 'wp384',
  13: 'wp512',
  14: 'tgr128',
  15: 'tgr160',
  16: 'tgr192',
  18: 'streebog256',
  19: 'streebog512',
};

function unknownAlgorithm(id: number): ParseError {
  const name = NOT_COMPUTED[id];
  const detail = name === undefined ? `${id} is not known` : `${name} is not supported`;
  return new ParseError('parse.unknown-value', 'security.ima algorithm', 1, detail);
}

/**
 * 04, the algorithm and the digest; with `legacy` 01 and the digest, which MD5 and SHA-1 alone have. The kernel itself
 * writes SHA-1 as 01 (ima_fix_xattr).
 * @throws {RangeError} for a digest of another size, or another algorithm's legacy form
 */
export function encodeImaDigest(algorithm: DigestAlgorithm, digest: Uint8Array, { legacy = false } = {}): Buffer {
  const { size, kernelId } = digestInfo(algorithm);
  if (digest.length !== size) throw new RangeError(`a ${algorithm} digest of ${digest.length} bytes`);
  if (!legacy) return Buffer.concat([Buffer.of(IMA_TYPE.digest, kernelId), digest]);
  if (algorithm !== 'md5' && algorithm !== 'sha1') throw new RangeError(`${algorithm} has no legacy form`);
  return Buffer.concat([Buffer.of(IMA_TYPE.legacyDigest), digest]);
}

/**
 * @param signature what `signDigest` of digsig gives; with `verity` what `signFileId` gives for type 6 and the digest of
 *   fs-verity
 */
export function encodeImaSignature(signature: Uint8Array, { verity = false } = {}): Buffer {
  return Buffer.concat([Buffer.of(verity ? IMA_TYPE.veritySignature : IMA_TYPE.signature), signature]);
}

/**
 * With what the kernel hashes a file, by its label (ima_get_hash_algo); malformed labels get its default.
 * @returns undefined where the label names an algorithm that cannot be computed here
 */
export function imaHashAlgorithm(
  xattr: Uint8Array | undefined,
  imaHash: DigestAlgorithm,
  takesFileV3 = false,
): DigestAlgorithm | undefined {
  if (xattr === undefined || xattr.length < 2) return imaHash;
  const [type, second, third = 0] = xattr;
  if (type === IMA_TYPE.digest) return digestInfoByKernelId(second ?? 0)?.name;
  if (type === IMA_TYPE.legacyDigest) return legacyAlgorithm(xattr.subarray(1)) ?? imaHash;
  const isHeader =
    (type === IMA_TYPE.signature && (second === 2 || (second === 3 && takesFileV3))) ||
    (type === IMA_TYPE.veritySignature && second === 3);
  return isHeader && xattr.length > SIGNATURE_HEADER_SIZE ? digestInfoByKernelId(third)?.name : imaHash;
}

/** `sizeof(struct signature_v2_hdr)`, the type byte included. */
export const SIGNATURE_HEADER_SIZE = 9;
