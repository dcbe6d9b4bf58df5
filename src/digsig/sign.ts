/** From a digest to what stands behind the attribute's type byte. */
import { type DigestAlgorithm, digest } from '../bytes/index.ts';
import { checkDigestSize } from './digest-info.ts';
import { DigsigError } from './error.ts';
import { fileIdDigest } from './file-id.ts';
import { encodeSignature, encodeV1Header } from './header.ts';
import type { Signer } from './signer.ts';

/** Format 2, what `security.ima` and `security.evm` hold behind 03 and 05. @throws {DigsigError} `digsig.cannot-sign` */
export function signDigest(signer: Signer, algorithm: DigestAlgorithm, fileDigest: Uint8Array): Buffer {
  const signature = signer.sign(algorithm, fileDigest);
  return encodeSignature({ version: 2, algorithm, keyId: signer.keyId, signature });
}

/**
 * Format 3, over the digest's {@link fileIdDigest}.
 * @param type first byte of the attribute: 6 for a digest of fs-verity, 3 for a regular file's
 * @throws {DigsigError} `digsig.cannot-sign`
 */
export function signFileId(signer: Signer, type: number, algorithm: DigestAlgorithm, fileDigest: Uint8Array): Buffer {
  const signature = signer.sign(algorithm, fileIdDigest(type, algorithm, fileDigest));
  return encodeSignature({ version: 3, algorithm, keyId: signer.keyId, signature });
}

/**
 * Format 1, which old kernels read: SHA-1 over the digest and the header, signed without DigestInfo.
 * @param time seconds since the epoch
 * @throws {DigsigError} `digsig.cannot-sign` for keys other than RSA and digests other than sha1 and sha256
 */
export function signDigestV1(signer: Signer, algorithm: DigestAlgorithm, fileDigest: Uint8Array, time: number): Buffer {
  const { signRaw, keyIdV1 } = signer;
  if (signRaw === undefined || keyIdV1 === undefined) {
    throw new DigsigError('digsig.cannot-sign', 'signature format 1 has RSA alone', { advice: 'use format 2' });
  }
  if (algorithm !== 'sha1' && algorithm !== 'sha256') {
    throw new DigsigError('digsig.cannot-sign', `signature format 1 does not have ${algorithm}`, {
      advice: 'use sha1 or sha256, or format 2',
    });
  }
  checkDigestSize(algorithm, fileDigest);
  const header = { version: 1, time, algorithm, keyId: keyIdV1 } as const;
  const signature = signRaw(digest('sha1', fileDigest, encodeV1Header(header)));
  return encodeSignature({ ...header, signature });
}
