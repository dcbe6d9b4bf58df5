/**
 * Issues X.509 certificates (RFC 5280, 4.1). Loaded only where one is made, see {@link certificateIssuer}: the ASN.1
 * schemas take longer to load than everything else of an attestation.
 */
import { type KeyObject, randomBytes, sign } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  Certificate,
  Extensions,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';
import { type CertificateExtensions, encodeExtensions } from './certificate-extensions.ts';
import { type DistinguishedName, encodeName } from './distinguished-name.ts';

export interface NewCertificate {
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  readonly publicKey: KeyObject;
  readonly from: Date;
  readonly until: Date;
  readonly extensions?: CertificateExtensions;
}

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const SHA256_WITH_RSA = '1.2.840.113549.1.1.11';
const NULL = new Uint8Array([0x05, 0x00]).buffer;

/** @param signer private key, ECDSA or RSA; it signs with SHA-256. @returns DER */
export function issueCertificate(certificate: NewCertificate, signer: KeyObject): Buffer {
  const { publicKey, from, until } = certificate;
  const subject = encodeName(certificate.subject);
  const extensions = encodeExtensions(certificate.extensions ?? {}, { publicKey, hasName: subject.length > 0 });
  const signatureAlgorithm = signatureAlgorithmOf(signer);
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: serialNumber(),
    signature: signatureAlgorithm,
    issuer: encodeName(certificate.issuer),
    validity: new Validity({ notBefore: from, notAfter: until }),
    subject,
    subjectPublicKeyInfo: AsnConvert.parse(publicKey.export({ type: 'spki', format: 'der' }), SubjectPublicKeyInfo),
    ...(extensions.length === 0 ? {} : { extensions: new Extensions(extensions) }),
  });
  const body = AsnConvert.serialize(tbsCertificate);
  const signatureValue = exactBuffer(sign('sha256', Buffer.from(body), signer));
  return Buffer.from(AsnConvert.serialize(new Certificate({ tbsCertificate, signatureAlgorithm, signatureValue })));
}

/** RFC 4055, 5: RSA has NULL parameters. RFC 5758, 3.2: ECDSA has none. */
function signatureAlgorithmOf(signer: KeyObject): AlgorithmIdentifier {
  return signer.asymmetricKeyType === 'rsa'
    ? new AlgorithmIdentifier({ algorithm: SHA256_WITH_RSA, parameters: NULL })
    : new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 });
}

/** 16 random bytes, positive and of full length (RFC 5280, 4.1.2.2). */
function serialNumber(): ArrayBuffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return exactBuffer(bytes);
}

/** The bytes in an ArrayBuffer of their own: small Buffers share one. */
function exactBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
