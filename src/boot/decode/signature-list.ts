import { X509Certificate } from 'node:crypto';
import { ByteReader, digest, ParseError, toHex } from '../../bytes/index.ts';
import { readGuid } from './guid.ts';

/** EFI_SIGNATURE_LIST (UEFI 2.10, 32.4.1): one type, and entries of equal size. */
export interface SignatureList {
  readonly type: SignatureType;
  readonly typeGuid: string;
  readonly signatures: readonly Signature[];
}

/** EFI_SIGNATURE_DATA. */
export interface Signature {
  /** Who put it there (a GUID, not vouched for by any signature); undefined for a bare certificate, as shim measures. */
  readonly owner: string | undefined;
  readonly content: SignatureContent;
}

export type SignatureContent =
  | ({ readonly kind: 'x509' } & CertificateSummary)
  /** Of an image (Authenticode), or of a certificate's to-be-signed part where the type says so; lower-case hex. */
  | { readonly kind: 'hash'; readonly value: string }
  /** Keys of a form that nobody uses, and certificates that cannot be read. */
  | { readonly kind: 'bytes'; readonly data: Uint8Array };

export interface CertificateSummary {
  /** Distinguished names on one line, as in the certificate's order: `C=US, O=…, CN=…`. */
  readonly subject: string;
  readonly issuer: string;
  /** Hex, upper case. */
  readonly serial: string;
  /** Of the DER, lower-case hex. */
  readonly sha256: string;
  readonly der: Uint8Array;
}

export type SignatureType =
  | 'x509'
  | 'sha1'
  | 'sha224'
  | 'sha256'
  | 'sha384'
  | 'sha512'
  | 'rsa2048'
  | 'x509-sha256'
  | 'x509-sha384'
  | 'x509-sha512'
  | 'unknown';

/** UEFI 2.10, 32.4.1, "Related Definitions". */
const TYPES: ReadonlyMap<string, SignatureType> = new Map([
  ['a5c059a1-94e4-4aa7-87b5-ab155c2bf072', 'x509'],
  ['826ca512-cf10-4ac9-b187-be01496631bd', 'sha1'],
  ['0b6e5233-a65c-44c9-9407-d9ab83bfc8bd', 'sha224'],
  ['c1c41626-504c-4092-aca9-41f936934328', 'sha256'],
  ['ff3e5307-9fd0-48c9-85f1-8ad56c701e01', 'sha384'],
  ['093e0fae-a6c4-4f50-9f1b-d41e2b89c19a', 'sha512'],
  ['3c5766e8-269c-4e34-aa14-ed776e85b3b6', 'rsa2048'],
  ['3bd2a492-96c0-4079-b420-fcf98ef103ed', 'x509-sha256'],
  ['7076876e-80c2-4ee6-aad2-28b349a6865b', 'x509-sha384'],
  ['446dbf63-2502-4cda-bcfa-2465d2b0fe9d', 'x509-sha512'],
]);

const LIST_HEADER_SIZE = 28;
const OWNER_SIZE = 16;
/** A dbx holds some hundreds of hashes; beyond this a log is hostile. */
const MAX_SIGNATURES = 65_536;
/** Reading a certificate costs some 30 µs: of so many in one payload, the rest stay bytes. */
const MAX_CERTIFICATES = 256;
const MAX_CERTIFICATE_SIZE = 65_536;

/**
 * The lists of PK, KEK, db, dbx and MokList.
 * @throws {ParseError} where a size contradicts another
 */
export function readSignatureLists(reader: ByteReader): readonly SignatureList[] {
  const budget = { signatures: MAX_SIGNATURES, certificates: MAX_CERTIFICATES };
  const lists: SignatureList[] = [];
  while (reader.remaining > 0) lists.push(readList(reader, budget));
  return lists;
}

interface Budget {
  signatures: number;
  certificates: number;
}

function readList(reader: ByteReader, budget: Budget): SignatureList {
  const typeGuid = readGuid(reader, 'signature list, type');
  const type = TYPES.get(typeGuid) ?? 'unknown';
  const at = reader.offset;
  const listSize = reader.u32le('signature list, size');
  const headerSize = reader.u32le('signature list, header size');
  const signatureSize = reader.u32le('signature list, signature size');
  if (listSize < LIST_HEADER_SIZE) {
    reader.fail('parse.invalid', 'signature list, size', `${listSize} bytes are less than its head`, at);
  }
  const body = reader.section(listSize - LIST_HEADER_SIZE, 'signature list');
  body.bytes(headerSize, 'signature list, header');
  if (body.remaining > 0 && (signatureSize < OWNER_SIZE || body.remaining % signatureSize !== 0)) {
    body.fail('parse.invalid', 'signature list, signature size', `${body.remaining} bytes are no multiple`);
  }
  const count = body.remaining === 0 ? 0 : body.remaining / signatureSize;
  budget.signatures -= count;
  if (budget.signatures < 0) {
    body.fail('parse.too-large', 'signature list', `more than ${MAX_SIGNATURES} signatures in one variable`);
  }
  const signatures: Signature[] = [];
  for (let i = 0; i < count; i++) {
    signatures.push(readSignature(body.section(signatureSize, 'signature'), type, budget));
  }
  return { type, typeGuid, signatures };
}

function readSignature(reader: ByteReader, type: SignatureType, budget: Budget): Signature {
  const owner = readGuid(reader, 'signature, owner');
  return { owner, content: contentOf(reader.rest(), type, budget) };
}

function contentOf(data: Uint8Array, type: SignatureType, budget: Budget): SignatureContent {
  if (type === 'x509') {
    const isInBudget = budget.certificates-- > 0;
    return (isInBudget ? certificateOf(data) : undefined) ?? { kind: 'bytes', data };
  }
  if (type === 'unknown' || type === 'rsa2048') return { kind: 'bytes', data };
  return { kind: 'hash', value: toHex(data) };
}

function certificateOf(der: Uint8Array): SignatureContent | undefined {
  if (der.length > MAX_CERTIFICATE_SIZE || der[0] !== 0x30) return undefined;
  const sha256 = toHex(digest('sha256', der));
  const names = knownNames.get(sha256) ?? readNames(der);
  if (names === undefined) return undefined;
  if (knownNames.size >= MAX_KNOWN_NAMES) knownNames.clear();
  knownNames.set(sha256, names);
  return { kind: 'x509', ...names, sha256, der };
}

type CertificateNames = Pick<CertificateSummary, 'subject' | 'issuer' | 'serial'>;

/**
 * What was read of a certificate, by its digest: the same few stand in every boot of a fleet, and reading one takes ten
 * times as long as hashing it.
 */
const knownNames = new Map<string, CertificateNames>();
const MAX_KNOWN_NAMES = 512;

function readNames(der: Uint8Array): CertificateNames | undefined {
  try {
    const { subject, issuer, serialNumber } = new X509Certificate(der);
    return { subject: oneLine(subject), issuer: oneLine(issuer), serial: serialNumber };
  } catch {
    return undefined; // OpenSSL refuses it: it is shown as the bytes it is
  }
}

/** OpenSSL's subject has one attribute a line; a newline inside a value is escaped there. */
function oneLine(name: string | undefined): string {
  return (name ?? '').trim().replaceAll('\n', ', ');
}

/**
 * What EV_EFI_VARIABLE_AUTHORITY holds: an EFI_SIGNATURE_DATA without the list's head, which would say what it is. So a
 * certificate is told by its DER, and a hash by its size. shim measures its own certificate without an owner, and some
 * firmware the whole list.
 */
export function readAuthority(data: Uint8Array, offset: number): readonly Signature[] {
  const budget = { signatures: MAX_SIGNATURES, certificates: MAX_CERTIFICATES };
  if (data[0] === 0x30) {
    const content = certificateOf(data);
    if (content !== undefined) return [{ owner: undefined, content }];
  }
  const reader = new ByteReader(data, offset);
  const owner = readGuid(reader, 'authority, owner');
  if (TYPES.has(owner)) return readSignatureLists(new ByteReader(data, offset)).flatMap(({ signatures }) => signatures);
  const rest = reader.rest();
  if (rest.length === 0) throw new ParseError('parse.truncated', 'authority', offset, 'an owner and nothing else');
  const type = rest[0] === 0x30 ? 'x509' : rest.length === 32 ? 'sha256' : 'unknown';
  return [{ owner, content: contentOf(rest, type, budget) }];
}
