/** Detached SignedData without attributes (RFC 5652, 5): as much of CMS as appended signatures have. */
import { type DigestAlgorithm, ParseError } from '../bytes/index.ts';
import { parseCertificate } from './certificate.ts';
import { DerReader, der, oid, TAG } from './der.ts';
import { DigsigError } from './error.ts';

export interface SignerInfo {
  /** Who signed: the certificate's issuer and serial number in DER, or its key identifier. */
  readonly signer:
    | { readonly issuer: Uint8Array; readonly serial: Uint8Array }
    | { readonly keyIdentifier: Uint8Array };
  /** Undefined for one that the kernel's PKCS#7 does not have. */
  readonly algorithm: DigestAlgorithm | undefined;
  readonly hasSignedAttributes: boolean;
  readonly signature: Uint8Array;
}

const SIGNED_DATA = oid('1.2.840.113549.1.7.2');
const DATA = oid('1.2.840.113549.1.7.1');
const RSA_ENCRYPTION = oid('1.2.840.113549.1.1.1');

/** The digest's identifier, and that of ECDSA with it (RFC 5754; RFC 5758, 3.2). */
const ALGORITHMS: readonly { name: DigestAlgorithm; digest: Buffer; ecdsa: Buffer }[] = [
  { name: 'sha1', digest: oid('1.3.14.3.2.26'), ecdsa: oid('1.2.840.10045.4.1') },
  { name: 'sha224', digest: oid('2.16.840.1.101.3.4.2.4'), ecdsa: oid('1.2.840.10045.4.3.1') },
  { name: 'sha256', digest: oid('2.16.840.1.101.3.4.2.1'), ecdsa: oid('1.2.840.10045.4.3.2') },
  { name: 'sha384', digest: oid('2.16.840.1.101.3.4.2.2'), ecdsa: oid('1.2.840.10045.4.3.3') },
  { name: 'sha512', digest: oid('2.16.840.1.101.3.4.2.3'), ecdsa: oid('1.2.840.10045.4.3.4') },
];

/** More signers than anyone appends. */
const MAX_SIGNERS = 16;

/** @throws {ParseError} for what is no SignedData, or holds the content itself */
export function parseSignedData(bytes: Uint8Array): SignerInfo[] {
  const outer = new DerReader(bytes);
  const contentInfo = outer.enter(TAG.sequence, 'PKCS#7');
  outer.end('PKCS#7');
  expectOid(contentInfo, SIGNED_DATA, 'PKCS#7 contentType');
  const signedData = contentInfo.enter(TAG.contextOf(0), 'PKCS#7 content').enter(TAG.sequence, 'SignedData');
  signedData.content(TAG.integer, 'SignedData version');
  signedData.whole(TAG.set, 'digestAlgorithms');
  const encapsulated = signedData.enter(TAG.sequence, 'encapContentInfo');
  expectOid(encapsulated, DATA, 'eContentType');
  encapsulated.end('encapContentInfo: the signature must be detached');
  signedData.skip(TAG.contextOf(0), 'certificates');
  signedData.skip(TAG.contextOf(1), 'crls');
  const infos = signedData.enter(TAG.set, 'signerInfos');
  signedData.end('SignedData');
  return signerInfos(infos);
}

function expectOid(reader: DerReader, expected: Buffer, what: string): void {
  const { offset } = reader;
  const found = reader.whole(TAG.oid, what);
  if (!expected.equals(found))
    throw new ParseError('parse.unknown-value', what, offset, 'another OBJECT IDENTIFIER is due');
}

function signerInfos(reader: DerReader): SignerInfo[] {
  const infos: SignerInfo[] = [];
  while (!reader.isAtEnd) {
    if (infos.length === MAX_SIGNERS)
      throw new ParseError('parse.too-large', 'signerInfos', reader.offset, 'too many signers');
    infos.push(signerInfo(reader.enter(TAG.sequence, 'SignerInfo')));
  }
  return infos;
}

function signerInfo(info: DerReader): SignerInfo {
  info.content(TAG.integer, 'SignerInfo version');
  const signer = signerIdentifier(info);
  const algorithm = info.enter(TAG.sequence, 'digestAlgorithm').whole(TAG.oid, 'digestAlgorithm');
  const hasSignedAttributes = info.tag === TAG.contextOf(0);
  info.skip(TAG.contextOf(0), 'signedAttrs');
  info.whole(TAG.sequence, 'signatureAlgorithm');
  const signature = info.content(TAG.octetString, 'signature');
  info.skip(TAG.contextOf(1), 'unsignedAttrs');
  info.end('SignerInfo');
  return {
    signer,
    algorithm: ALGORITHMS.find((one) => one.digest.equals(algorithm))?.name,
    hasSignedAttributes,
    signature,
  };
}

function signerIdentifier(info: DerReader): SignerInfo['signer'] {
  if (info.tag === TAG.context(0)) return { keyIdentifier: info.content(TAG.context(0), 'subjectKeyIdentifier') };
  const name = info.enter(TAG.sequence, 'issuerAndSerialNumber');
  const issuer = name.whole(TAG.sequence, 'issuer');
  return { issuer, serial: name.whole(TAG.integer, 'serialNumber') };
}

/** True where `certificate` (DER) is the one that the SignerInfo names. */
export function isSigner({ signer }: SignerInfo, certificate: Uint8Array): boolean {
  const { issuer, serial, skid } = parseCertificate(certificate);
  if ('keyIdentifier' in signer) return skid !== undefined && Buffer.from(skid).equals(signer.keyIdentifier);
  return Buffer.from(issuer).equals(signer.issuer) && Buffer.from(serial).equals(signer.serial);
}

export interface DetachedSignature {
  /** The signer's, in DER; it is named, not included. */
  readonly certificate: Uint8Array;
  readonly kind: 'rsa' | 'ec' | 'sm2';
  readonly algorithm: DigestAlgorithm;
  readonly signature: Uint8Array;
}

/** As `sign-file` writes it: no certificates, no attributes. @throws {DigsigError} `digsig.cannot-sign` */
export function encodeSignedData({ certificate, kind, algorithm, signature }: DetachedSignature): Buffer {
  const known = ALGORITHMS.find((one) => one.name === algorithm);
  if (known === undefined || kind === 'sm2') {
    throw new DigsigError(
      'digsig.cannot-sign',
      `an appended signature with ${kind} and ${algorithm} is not supported`,
      {
        advice: 'use RSA or ECDSA with sha256, sha384 or sha512',
      },
    );
  }
  const { issuer, serial } = parseCertificate(certificate);
  const digestAlgorithm = der(TAG.sequence, known.digest);
  const one = der(TAG.integer, Buffer.of(1));
  const info = der(
    TAG.sequence,
    one,
    der(TAG.sequence, issuer, serial),
    digestAlgorithm,
    kind === 'rsa' ? der(TAG.sequence, RSA_ENCRYPTION, der(TAG.null)) : der(TAG.sequence, known.ecdsa),
    der(TAG.octetString, signature),
  );
  const parts = [one, der(TAG.set, digestAlgorithm), der(TAG.sequence, DATA), der(TAG.set, info)];
  return der(TAG.sequence, SIGNED_DATA, der(TAG.contextOf(0), der(TAG.sequence, ...parts)));
}
