/** Endorsement key certificates, and the keys that they vouch for (TCG EK Credential Profile, 3). */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { TpmError } from '../errors.ts';
import { uniqueOf } from '../public-key.ts';
import type { TPMT_PUBLIC } from '../structures.ts';
import { EK_PROFILES, type EkProfile, endorsementKeyArea } from './templates.ts';

const MAX_CERTIFICATE_BYTES = 16 * 1024;

/**
 * Parses one DER certificate as NV holds it: followed by padding in some TPMs, so only the outer SEQUENCE is taken.
 * @throws {TpmError} `tpm.malformed`
 */
export function parseCertificate(der: Uint8Array): X509Certificate {
  if (der.length > MAX_CERTIFICATE_BYTES) {
    throw new TpmError(
      'tpm.malformed',
      `a certificate of ${der.length} bytes; at most ${MAX_CERTIFICATE_BYTES} are read`,
    );
  }
  try {
    return new X509Certificate(der.subarray(0, sequenceLength(der)));
  } catch (cause) {
    throw new TpmError('tpm.malformed', 'the endorsement key certificate cannot be read', { cause });
  }
}

/** Length of the DER SEQUENCE at the start, header included; all of the input where it does not start with one. */
function sequenceLength(der: Uint8Array): number {
  const [tag, first = 0] = der;
  if (tag !== 0x30) return der.length;
  if (first < 0x80) return 2 + first;
  const count = first & 0x7f;
  if (count === 0 || count > 4) return der.length;
  const length = der.subarray(2, 2 + count).reduce((sum, byte) => sum * 256 + byte, 0);
  return 2 + count + length;
}

/** Every certificate of a PEM file, in order. @throws {TpmError} `tpm.malformed` */
export function parsePemBundle(text: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => parseCertificate(Buffer.from(block.replace(/-----[^-]+-----|\s/g, ''), 'base64')));
}

export interface CertifiedEndorsementKey {
  readonly profile: EkProfile;
  /** The profile's template with the certificate's key: nothing of it comes from the attester's claims. */
  readonly area: TPMT_PUBLIC;
  readonly key: KeyObject;
}

/** The EK that a certificate vouches for. @throws {TpmError} `tpm.unsupported` for a key that no profile has */
export function endorsementKeyOf(certificate: X509Certificate): CertifiedEndorsementKey {
  const key = certificate.publicKey;
  const described = uniqueOf(key);
  const profile = profileFor(described);
  if (profile === undefined) {
    const size = described.type === 'rsa' ? `RSA ${described.keyBits}` : described.curve;
    throw new TpmError('tpm.unsupported', `there is no endorsement key profile for ${size} here`);
  }
  return { profile, area: endorsementKeyArea(profile, described.unique), key };
}

function profileFor(described: ReturnType<typeof uniqueOf>): EkProfile | undefined {
  if (described.type === 'rsa') return described.keyBits === 2048 ? EK_PROFILES.rsa2048 : undefined;
  return { p256: EK_PROFILES.p256, p384: EK_PROFILES.p384, p521: undefined }[described.curve];
}
