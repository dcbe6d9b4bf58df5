/** DigestInfo, what RSASSA-PKCS1-v1_5 signs (RFC 8017, 9.2): DER of the algorithm's identifier, then the digest. */
import { type DigestAlgorithm, digestInfo } from '../bytes/index.ts';
import { der, oid, TAG } from './der.ts';
import { DigsigError } from './error.ts';

/**
 * RFC 8017, B.1; NIST's CSOR for SHA-2 and SHA-3. For SM3 it is the identifier of RSA with SM3 and not SM3's own
 * (…1.401): so OpenSSL writes it, and with it ima-evm-utils. The kernel's RSA has no SM3.
 */
const OIDS: Readonly<Record<DigestAlgorithm, string>> = {
  md5: '1.2.840.113549.2.5',
  sha1: '1.3.14.3.2.26',
  rmd160: '1.3.36.3.2.1',
  sha224: '2.16.840.1.101.3.4.2.4',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  sm3: '1.2.156.10197.1.504',
  'sha3-256': '2.16.840.1.101.3.4.2.8',
  'sha3-384': '2.16.840.1.101.3.4.2.9',
  'sha3-512': '2.16.840.1.101.3.4.2.10',
};

/** AlgorithmIdentifier with NULL parameters, as the kernel's `rsassa-pkcs1` and OpenSSL write it. */
function digestIdentifier(algorithm: DigestAlgorithm): Buffer {
  return der(TAG.sequence, oid(OIDS[algorithm]), der(TAG.null));
}

const prefixes = new Map<DigestAlgorithm, Buffer>();

function prefixOf(algorithm: DigestAlgorithm): Buffer {
  let prefix = prefixes.get(algorithm);
  if (prefix === undefined) {
    const { size } = digestInfo(algorithm);
    const whole = der(TAG.sequence, digestIdentifier(algorithm), der(TAG.octetString, Buffer.alloc(size)));
    prefix = whole.subarray(0, whole.length - size);
    prefixes.set(algorithm, prefix);
  }
  return prefix;
}

/** @throws {DigsigError} `digsig.cannot-sign` for a digest that is not of the algorithm's size */
export function checkDigestSize(algorithm: DigestAlgorithm, digest: Uint8Array): void {
  const { size } = digestInfo(algorithm);
  if (digest.length === size) return;
  throw new DigsigError('digsig.cannot-sign', `a ${algorithm} digest has ${size} bytes, this one ${digest.length}`);
}

/** @throws {DigsigError} `digsig.cannot-sign` for a digest that is not of the algorithm's size */
export function encodeDigestInfo(algorithm: DigestAlgorithm, digest: Uint8Array): Buffer {
  checkDigestSize(algorithm, digest);
  return Buffer.concat([prefixOf(algorithm), digest]);
}
