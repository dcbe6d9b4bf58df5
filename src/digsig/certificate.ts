/** What signatures need of an X.509 certificate beyond what node:crypto tells: identifiers in their exact bytes. */
import { DerReader, oid, TAG } from './der.ts';

export interface CertificateParts {
  /** The serial number's DER, header and all. */
  readonly serial: Uint8Array;
  /** The issuer's Name in DER. */
  readonly issuer: Uint8Array;
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array;
  /** The Subject Key Identifier (RFC 5280, 4.2.1.2). */
  readonly skid: Uint8Array | undefined;
}

const SUBJECT_KEY_IDENTIFIER = oid('2.5.29.14');

/** @param der one certificate and nothing else @throws {ParseError} */
export function parseCertificate(der: Uint8Array): CertificateParts {
  const outer = new DerReader(der);
  const certificate = outer.enter(TAG.sequence, 'certificate');
  outer.end('certificate');
  const tbs = certificate.enter(TAG.sequence, 'tbsCertificate');
  tbs.skip(TAG.contextOf(0), 'version');
  const serial = tbs.whole(TAG.integer, 'serialNumber');
  tbs.whole(TAG.sequence, 'signature');
  const issuer = tbs.whole(TAG.sequence, 'issuer');
  tbs.whole(TAG.sequence, 'validity');
  tbs.whole(TAG.sequence, 'subject');
  const spki = tbs.whole(TAG.sequence, 'subjectPublicKeyInfo');
  tbs.skip(TAG.context(1), 'issuerUniqueID');
  tbs.skip(TAG.context(2), 'subjectUniqueID');
  return { serial, issuer, spki, skid: tbs.isAtEnd ? undefined : subjectKeyId(tbs) };
}

function subjectKeyId(tbs: DerReader): Uint8Array | undefined {
  const extensions = tbs.enter(TAG.contextOf(3), 'extensions').enter(TAG.sequence, 'extensions');
  while (!extensions.isAtEnd) {
    const extension = extensions.enter(TAG.sequence, 'extension');
    const id = extension.whole(TAG.oid, 'extnID');
    extension.skip(TAG.boolean, 'critical');
    const value = extension.enter(TAG.octetString, 'extnValue');
    if (SUBJECT_KEY_IDENTIFIER.equals(id)) return value.content(TAG.octetString, 'subjectKeyIdentifier');
  }
  return undefined;
}

interface PublicKeyParts {
  /** The algorithm's OBJECT IDENTIFIER, header and all. */
  readonly algorithm: Uint8Array;
  /** The curve's OBJECT IDENTIFIER, header and all; undefined where the parameters are no such thing. */
  readonly curve: Uint8Array | undefined;
  /** The BIT STRING's bytes: RSAPublicKey, or the point. */
  readonly bits: Uint8Array;
}

/** @throws {ParseError} */
export function parsePublicKeyInfo(spki: Uint8Array): PublicKeyParts {
  const info = new DerReader(spki).enter(TAG.sequence, 'subjectPublicKeyInfo');
  const identifier = info.enter(TAG.sequence, 'algorithm');
  const algorithm = identifier.whole(TAG.oid, 'algorithm');
  const curve = identifier.tag === TAG.oid ? identifier.whole(TAG.oid, 'parameters') : undefined;
  return { algorithm, curve, bits: info.bits('subjectPublicKey') };
}

/** @throws {ParseError} */
export function publicKeyBits(spki: Uint8Array): Uint8Array {
  return parsePublicKeyInfo(spki).bits;
}
