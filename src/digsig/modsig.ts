/**
 * A signature appended to the file, as kernel modules have it (kernel: `scripts/sign-file.c`, `kernel/module_signature.c`,
 * `ima_modsig.c`): content ‖ PKCS#7 ‖ struct module_signature ‖ marker.
 */
import { ByteReader, type DigestAlgorithm, digest, ParseError } from '../bytes/index.ts';
import { DigsigError } from './error.ts';
import type { Keyring, SignatureVerdict } from './keyring.ts';
import { encodeSignedData, isSigner, parseSignedData, type SignerInfo } from './pkcs7.ts';
import type { IntegrityKey } from './public-keys.ts';
import type { Signer } from './signer.ts';
import { verifyDigest } from './verify.ts';

const MARKER = Buffer.from('~Module signature appended~\n');
const TRAILER_SIZE = 12;
/** PKEY_ID_PKCS7, the only kind that the kernel still takes. */
const ID_TYPE_PKCS7 = 2;

export interface AppendedSignature {
  /** The file without what was appended: what the signature is over. */
  readonly content: Uint8Array;
  /** PKCS#7 in DER; the field `modsig` of a measurement list. */
  readonly pkcs7: Uint8Array;
}

/**
 * Takes a file apart; views of the input, nothing is copied.
 * @returns undefined where no marker ends the file
 * @throws {ParseError} for a marker with a trailer before it that cannot be right
 */
export function splitModsig(file: Uint8Array): AppendedSignature | undefined {
  const length = modsigLength(file.subarray(Math.max(0, file.length - MODSIG_TAIL_SIZE)), file.length);
  if (length === undefined) return undefined;
  const start = file.length - MODSIG_TAIL_SIZE;
  return { content: file.subarray(0, start - length), pkcs7: file.subarray(start - length, start) };
}

/** How much of a file's end tells whether a signature is appended: trailer and marker. */
export const MODSIG_TAIL_SIZE = TRAILER_SIZE + MARKER.length;

/**
 * Size of the PKCS#7 that stands before a file's last {@link MODSIG_TAIL_SIZE} bytes.
 * @param tail these bytes; the whole file where it is smaller
 * @returns undefined where no marker ends the file
 * @throws {ParseError} for a marker with a trailer before it that cannot be right
 */
export function modsigLength(tail: Uint8Array, fileSize: number): number | undefined {
  const end = tail.length - MARKER.length;
  if (end < 0 || !MARKER.equals(tail.subarray(end))) return undefined;
  const start = fileSize - MARKER.length - Math.min(end, TRAILER_SIZE);
  const trailer = new ByteReader(tail.subarray(Math.max(0, end - TRAILER_SIZE), end), start);
  const kinds = trailer.bytes(8, 'module_signature');
  const length = trailer.u32be('module_signature.sig_len');
  if (kinds.some((value, index) => value !== (index === 2 ? ID_TYPE_PKCS7 : 0))) {
    throw new ParseError('parse.unknown-value', 'module_signature', start, 'not of the kind PKCS#7');
  }
  if (length === 0 || length > start) {
    throw new ParseError(
      'parse.truncated',
      'module_signature.sig_len',
      start + 8,
      `${length} bytes do not fit the file`,
    );
  }
  return length;
}

/**
 * By what algorithm the content is hashed that a PKCS#7 signs: the first signer's.
 * @returns undefined for one that cannot be computed here
 * @throws {ParseError} for what is no detached SignedData
 */
export function modsigAlgorithm(pkcs7: Uint8Array): DigestAlgorithm | undefined {
  return parseSignedData(pkcs7)[0]?.algorithm;
}

/**
 * The signature to append to `content`: PKCS#7, trailer and marker.
 * @param contentDigest of the whole content, without any signature appended before
 * @throws {DigsigError} `digsig.cannot-sign` for a signer without certificate, whose issuer and serial number name the
 *   key, and for digests that the kernel's PKCS#7 does not have
 */
export function signModsig(signer: Signer, algorithm: DigestAlgorithm, contentDigest: Uint8Array): Buffer {
  if (signer.certificate === undefined) {
    throw new DigsigError('digsig.cannot-sign', 'an appended signature names its key by certificate', {
      advice: 'give the certificate',
    });
  }
  const signature = signer.sign(algorithm, contentDigest);
  const pkcs7 = encodeSignedData({ certificate: signer.certificate, kind: signer.kind, algorithm, signature });
  const trailer = Buffer.alloc(TRAILER_SIZE);
  trailer[2] = ID_TYPE_PKCS7;
  trailer.writeUInt32BE(pkcs7.length, 8);
  return Buffer.concat([pkcs7, trailer, MARKER]);
}

/**
 * Judges an appended signature by the keys of a keyring; only certificates are found, by issuer and serial number or by
 * key identifier. Certificates inside the PKCS#7 vouch for nothing. Each signer must be known and right.
 * @param digestOf the content's digest by an algorithm that the signature names
 * @throws {ParseError} for what is no detached SignedData
 */
export function verifyModsig(
  keyring: Keyring,
  pkcs7: Uint8Array,
  digestOf: (algorithm: DigestAlgorithm) => Uint8Array,
): SignatureVerdict {
  const verdicts = parseSignedData(pkcs7).map((signer) => verifySigner(keyring, signer, digestOf));
  const bad = verdicts.find((verdict) => !verdict.valid);
  const [first] = verdicts;
  return bad ?? first ?? { valid: false, fault: 'invalid-signature' };
}

/** {@link verifyModsig} for content at hand. */
export function verifyAppended(keyring: Keyring, { content, pkcs7 }: AppendedSignature): SignatureVerdict {
  return verifyModsig(keyring, pkcs7, (algorithm) => digest(algorithm, content));
}

function verifySigner(
  keyring: Keyring,
  signer: SignerInfo,
  digestOf: (algorithm: DigestAlgorithm) => Uint8Array,
): SignatureVerdict {
  const { algorithm } = signer;
  if (algorithm === undefined) return { valid: false, fault: 'unsupported-algorithm' };
  const key = findSigner(keyring, signer);
  if (key === undefined) return { valid: false, fault: 'unknown-key' };
  if (keyring.find(key.keyId) === 'blacklisted') return { valid: false, fault: 'blacklisted-key', key };
  // Kernels before ML-DSA take no signed attributes for this use (pkcs7_verify, VERIFYING_MODULE_SIGNATURE), and
  // sign-file writes none with RSA and ECDSA.
  const isValid = !signer.hasSignedAttributes && verifyDigest(key, algorithm, digestOf(algorithm), signer.signature);
  return isValid ? { valid: true, key } : { valid: false, fault: 'invalid-signature', key };
}

function findSigner(keyring: Keyring, signer: SignerInfo): IntegrityKey | undefined {
  for (const key of keyring) if (key.certificate !== undefined && isSigner(signer, key.certificate)) return key;
  return undefined;
}
