import { type DigestAlgorithm, digest, digestInfo } from '../bytes/index.ts';
import { checkDigestSize } from './digest-info.ts';

/**
 * What format 3 signs instead of the digest itself: H(type ‖ algorithm ‖ digest), so that a signature for one kind of
 * digest is none for another (kernel: `ima_appraise.c`, calc_file_id_hash; the digest is not padded).
 * @param type first byte of the attribute: 6 for a digest of fs-verity, 3 for a regular file's
 */
export function fileIdDigest(type: number, algorithm: DigestAlgorithm, fileDigest: Uint8Array): Buffer {
  checkDigestSize(algorithm, fileDigest);
  return digest(algorithm, Buffer.of(type, digestInfo(algorithm).kernelId), fileDigest);
}
