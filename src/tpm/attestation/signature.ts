/** Checks a TPM's signature over a message (TPM 2.0 Part 1, annexes B and C; Part 2, 11.3). */
import { constants, type KeyObject, verify } from 'node:crypto';
import { type DigestAlgorithm, digestInfo } from '../../bytes/index.ts';
import { TpmError } from '../errors.ts';
import { padNumber } from '../public-key.ts';
import type { TPMT_SIGNATURE } from '../structures.ts';

export type SignatureScheme = 'rsassa' | 'rsapss' | 'ecdsa';

type VerifiableSignature = Extract<TPMT_SIGNATURE, { sigAlg: SignatureScheme }>;

/** @throws {TpmError} `tpm.unsupported` for a scheme that Assay does not check (HMAC, ECDAA, SM2, …) */
export function verifiable(signature: TPMT_SIGNATURE): VerifiableSignature {
  const { sigAlg } = signature;
  if (sigAlg === 'rsassa' || sigAlg === 'rsapss' || sigAlg === 'ecdsa') return signature;
  throw new TpmError('tpm.unsupported', `signature scheme ${sigAlg} is not supported`, {
    advice: 'use a key with rsassa, rsapss or ecdsa',
  });
}

const COORDINATE_SIZE: Readonly<Record<string, number>> = { prime256v1: 32, secp384r1: 48, secp521r1: 66 };

/**
 * True where `signature` is `key`'s over `message`, hashed with the signature's own algorithm.
 * A signature of the other key type is false, not an error: evidence may claim anything.
 * PSS is accepted with any salt length: TPMs use the digest's size, or in older ones the largest that fits.
 */
export function verifySignature(key: KeyObject, message: Uint8Array, signature: TPMT_SIGNATURE): boolean {
  const checked = verifiable(signature);
  const algorithm: DigestAlgorithm = checked.hash;
  const { opensslName } = digestInfo(algorithm);
  if (checked.sigAlg === 'ecdsa') {
    const size = COORDINATE_SIZE[key.asymmetricKeyDetails?.namedCurve ?? ''];
    if (key.asymmetricKeyType !== 'ec' || size === undefined) return false;
    const { signatureR: r, signatureS: s } = checked;
    if (significantLength(r) > size || significantLength(s) > size) return false;
    const raw = Buffer.concat([padNumber(r, size), padNumber(s, size)]);
    return verify(opensslName, message, { key, dsaEncoding: 'ieee-p1363' }, raw);
  }
  if (key.asymmetricKeyType !== 'rsa') return false;
  if (checked.sigAlg === 'rsassa') {
    return verify(opensslName, message, { key, padding: constants.RSA_PKCS1_PADDING }, checked.sig);
  }
  const saltLength = constants.RSA_PSS_SALTLEN_AUTO;
  return verify(opensslName, message, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, checked.sig);
}

function significantLength(number: Uint8Array): number {
  const start = number.findIndex((byte) => byte !== 0);
  return start < 0 ? 0 : number.length - start;
}
