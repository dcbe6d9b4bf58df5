/** The parts of a certificate that TPM2_CertifyX509 reads and adds (Part 3, 18.8; RFC 5280; Part 4, X509_spt.c). */
import { digestInfo } from '../../bytes/index.ts';
import { TPMA_OBJECT, type TPMI_ECC_CURVE, type TPMT_PUBLIC } from '../../tpm/index.ts';
import { bitString, type Element, element, elementsOf, integer, NULL, objectIdentifier, TAG } from './der.ts';
import { toBigInt, toBytes } from './ecc.ts';
import { refuse } from './refusal.ts';
import type { SigningScheme } from './sign.ts';

const PARTIAL = 'partialCertificate';

// --- what is added ----------------------------------------------------------------------------------------------------

const RSA_ENCRYPTION = '1.2.840.113549.1.1.1';
const RSASSA_PSS = '1.2.840.113549.1.1.10';
const MGF1 = '1.2.840.113549.1.1.8';
const EC_PUBLIC_KEY = '1.2.840.10045.2.1';

const HASH_IDS: Readonly<Record<string, string>> = {
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
};
const PKCS1_IDS: Readonly<Record<string, string>> = {
  sha1: '1.2.840.113549.1.1.5',
  sha256: '1.2.840.113549.1.1.11',
  sha384: '1.2.840.113549.1.1.12',
  sha512: '1.2.840.113549.1.1.13',
};
const ECDSA_IDS: Readonly<Record<string, string>> = {
  sha1: '1.2.840.10045.4.1',
  sha256: '1.2.840.10045.4.3.2',
  sha384: '1.2.840.10045.4.3.3',
  sha512: '1.2.840.10045.4.3.4',
};
/** The curves for pairings have no identifier. */
const CURVE_IDS: Readonly<Partial<Record<TPMI_ECC_CURVE, string>>> = {
  p192: '1.2.840.10045.3.1.1',
  p224: '1.3.132.0.33',
  p256: '1.2.840.10045.3.1.7',
  p384: '1.3.132.0.34',
  p521: '1.3.132.0.35',
  sm2_p256: '1.2.156.10197.1.301',
};

const sequence = (...parts: readonly Uint8Array[]): Buffer => element(TAG.sequence, ...parts);

/** AlgorithmIdentifier with NULL for its parameters. */
const algorithm = (id: string): Buffer => sequence(objectIdentifier(id), NULL);

/** SubjectPublicKeyInfo; undefined for an object that has no public key, or none that a certificate can hold. */
export function subjectPublicKeyInfo(area: TPMT_PUBLIC): Buffer | undefined {
  if (area.type === 'rsa') {
    const exponent = toBytes(BigInt(area.parameters.exponent || 65537), 4);
    return sequence(algorithm(RSA_ENCRYPTION), bitString(sequence(integer(area.unique), integer(exponent))));
  }
  const curve = area.type === 'ecc' ? CURVE_IDS[area.parameters.curveID] : undefined;
  if (area.type !== 'ecc' || curve === undefined) return undefined;
  const point = Buffer.concat([Buffer.of(4), area.unique.x, area.unique.y]);
  return sequence(sequence(objectIdentifier(EC_PUBLIC_KEY), objectIdentifier(curve)), bitString(point));
}

/** AlgorithmIdentifier of a signature; undefined for a scheme that has none. @param size bytes of an RSA modulus */
export function signatureAlgorithm(type: TPMT_PUBLIC['type'], scheme: SigningScheme, size: number): Buffer | undefined {
  const { hashAlg } = scheme;
  if (type === 'rsa' && scheme.scheme === 'rsassa') {
    const id = PKCS1_IDS[hashAlg];
    return id === undefined ? undefined : algorithm(id);
  }
  if (type === 'rsa' && scheme.scheme === 'rsapss') return pssAlgorithm(hashAlg, size);
  const id = type === 'ecc' && scheme.scheme === 'ecdsa' ? ECDSA_IDS[hashAlg] : undefined;
  return id === undefined ? undefined : sequence(objectIdentifier(id));
}

/** RFC 4055, 3.1: all but the defaults, which are SHA-1's. */
function pssAlgorithm(hashAlg: SigningScheme['hashAlg'], size: number): Buffer | undefined {
  const id = HASH_IDS[hashAlg];
  if (id === undefined) return undefined;
  if (hashAlg === 'sha1') return algorithm(RSASSA_PSS);
  const saltSize = Math.min(digestInfo(hashAlg).size, size - digestInfo(hashAlg).size - 2);
  const parameters = sequence(
    element(TAG.explicit, algorithm(id)),
    element(TAG.explicit + 1, sequence(objectIdentifier(MGF1), algorithm(id))),
    element(TAG.explicit + 2, integer(toBytes(BigInt(Math.max(0, saltSize)), 2))),
  );
  return sequence(objectIdentifier(RSASSA_PSS), parameters);
}

// --- what the caller gives --------------------------------------------------------------------------------------------

export interface PartialCertificate {
  /** AlgorithmIdentifier of the signature, where the caller gives it. */
  readonly signature: Uint8Array | undefined;
  readonly issuer: Uint8Array;
  readonly validity: Uint8Array;
  readonly subject: Uint8Array;
  readonly extensions: Element;
}

/** @throws {Refusal} `SIZE` where it is no sequence that fills the buffer, `VALUE` for other fields than these */
export function readPartialCertificate(bytes: Uint8Array): PartialCertificate {
  if (bytes.length === 0) refuse('VALUE', PARTIAL);
  const [whole, ...behind] = elementsOf(bytes) ?? refuse('SIZE', PARTIAL);
  if (whole?.tag !== TAG.sequence || behind.length > 0) return refuse('SIZE', PARTIAL);
  const fields = elementsOf(whole.content) ?? refuse('VALUE', PARTIAL);
  const sequences = fields.filter(({ tag }) => tag === TAG.sequence).map((field) => field.whole);
  const [extensions, ...more] = fields.filter(({ tag }) => tag === TAG.explicit + 3);
  const isWhole = sequences.length + 1 === fields.length && more.length === 0;
  const [issuer, validity, subject] = sequences.slice(-3);
  if (!isWhole || extensions === undefined || sequences.length > 4) return refuse('VALUE', PARTIAL);
  if (issuer === undefined || validity === undefined || subject === undefined) return refuse('VALUE', PARTIAL);
  return { signature: sequences.length === 4 ? sequences[0] : undefined, issuer, validity, subject, extensions };
}

const KEY_USAGE = objectIdentifier('2.5.29.15');
const TPMA_OBJECT_EXTENSION = objectIdentifier('2.23.133.10.1.1.1');

/** Bits of TPMA_X509_KEY_USAGE (Part 2, 8.10): those of RFC 5280, 4.2.1.3, from the highest one down. */
const USAGE = {
  /** digitalSignature, keyCertSign, cRLSign */
  sign: 0x86000000,
  /** keyEncipherment, dataEncipherment, keyAgreement, encipherOnly, decipherOnly */
  decrypt: 0x39800000,
  nonRepudiation: 0x40000000,
  keyAgreement: 0x08000000,
} as const;

/**
 * 18.8.1: the certificate claims no more of the key than is so.
 * @throws {Refusal} `VALUE` about the certificate, `ATTRIBUTES` about the object where the extension for them differs
 */
export function checkExtensions({ objectAttributes }: TPMT_PUBLIC, extensions: Element): void {
  const [list] = elementsOf(extensions.content) ?? refuse('VALUE', PARTIAL);
  if (list?.tag !== TAG.sequence) refuse('VALUE', PARTIAL);
  const all = elementsOf(list.content) ?? refuse('VALUE', PARTIAL);
  if (all.some(({ tag }) => tag !== TAG.sequence)) refuse('VALUE', PARTIAL);
  const claimed = bitsOf(all, TPMA_OBJECT_EXTENSION);
  if (claimed !== undefined && claimed !== TPMA_OBJECT.toNumber(objectAttributes)) refuse('ATTRIBUTES', 'objectHandle');
  const usage = bitsOf(all, KEY_USAGE) ?? refuse('VALUE', PARTIAL);
  const { sign, decrypt, fixedTPM, restricted } = objectAttributes;
  const claims = (bits: number): boolean => (usage & bits) !== 0;
  const isTooMuch =
    (claims(USAGE.sign) && !sign) ||
    (claims(USAGE.decrypt) && !decrypt) ||
    (claims(USAGE.nonRepudiation) && !fixedTPM) ||
    (claims(USAGE.keyAgreement) && !restricted);
  if (isTooMuch) refuse('VALUE', PARTIAL);
}

/** The bit string in an extension, at the high end of 32 bits; undefined where there is no such extension. */
function bitsOf(extensions: readonly Element[], id: Uint8Array): number | undefined {
  const found = extensions.find(({ content }) => Buffer.from(content.subarray(0, id.length)).equals(id));
  if (found === undefined) return undefined;
  const octets = (elementsOf(found.content) ?? []).find(({ tag }) => tag === TAG.octetString);
  const [bits] = octets === undefined ? [] : (elementsOf(octets.content) ?? []);
  const unused = bits?.content[0];
  if (bits?.tag !== TAG.bitString || unused === undefined || unused > 7) return refuse('VALUE', PARTIAL);
  const size = bits.content.length - 1;
  if (size > 4 || (size === 0 && unused > 0)) return refuse('VALUE', PARTIAL);
  const value = toBigInt(bits.content.subarray(1)) << BigInt(32 - 8 * size);
  const mask = unused === 0 || size === 0 ? 0n : (1n << BigInt(32 - 8 * size + unused)) - 1n;
  return Number(value & ~mask);
}
