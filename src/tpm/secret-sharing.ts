/** Secret sharing with a TPM's asymmetric key (TPM 2.0 Part 1, B.10 and C.6): credentials, salted sessions, duplication. */
import { constants, diffieHellman, generateKeyPairSync, publicEncrypt, randomBytes } from 'node:crypto';
import { type DigestAlgorithm, digestInfo } from '../bytes/index.ts';
import { encode } from './codec.ts';
import { KDFe } from './crypto/kdf.ts';
import { TpmError } from './errors.ts';
import { curveSize, padNumber, publicKeyOf, uniqueOf } from './public-key.ts';
import { TPMS_ECC_POINT, type TPMT_PUBLIC } from './structures.ts';

export type SecretLabel = 'IDENTITY' | 'SECRET' | 'DUPLICATE';

export interface SharedSecret {
  /** As long as `nameAlg`'s digest. */
  readonly seed: Uint8Array;
  /** What goes to the TPM: the content of a TPM2B_ENCRYPTED_SECRET. */
  readonly secret: Uint8Array;
}

type AsymmetricArea = Extract<TPMT_PUBLIC, { type: 'rsa' | 'ecc' }>;

export function isAsymmetric(area: TPMT_PUBLIC): area is AsymmetricArea {
  return area.type === 'rsa' || area.type === 'ecc';
}

/** A fresh secret that only the holder of `area`'s private key can recover. `nameAlg` is that of `area`. */
export function shareSecret(area: AsymmetricArea, nameAlg: DigestAlgorithm, label: SecretLabel): SharedSecret {
  return area.type === 'rsa' ? rsaSecret(area, nameAlg, label) : eccSecret(area, nameAlg, label);
}

/** B.10.1: random, under OAEP whose label ends with its NUL. */
function rsaSecret(area: AsymmetricArea, nameAlg: DigestAlgorithm, label: SecretLabel): SharedSecret {
  const { size, opensslName } = digestInfo(nameAlg);
  const seed = randomBytes(size);
  const oaepLabel = Buffer.from(`${label}\0`, 'latin1');
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const secret = publicEncrypt({ key: publicKeyOf(area), padding, oaepHash: opensslName, oaepLabel }, seed);
  return { seed, secret };
}

/** C.6.1: an ephemeral key, and KDFe over the x-coordinate of the shared point. */
function eccSecret(area: Extract<AsymmetricArea, { type: 'ecc' }>, nameAlg: DigestAlgorithm, label: SecretLabel) {
  const size = curveSize(area.parameters.curveID);
  const publicKey = publicKeyOf(area);
  const namedCurve = publicKey.asymmetricKeyDetails?.namedCurve ?? '';
  const ephemeral = generateKeyPairSync('ec', { namedCurve });
  const point = uniqueOf(ephemeral.publicKey);
  if (point.type !== 'ecc') throw new TpmError('tpm.unsupported', `no key exchange on ${namedCurve}`);
  const z = padNumber(diffieHellman({ privateKey: ephemeral.privateKey, publicKey }), size);
  const x = padNumber(area.unique.x, size);
  const seed = KDFe(nameAlg, z, label, point.unique.x, x, digestInfo(nameAlg).size * 8);
  return { seed, secret: encode(TPMS_ECC_POINT, point.unique) };
}
