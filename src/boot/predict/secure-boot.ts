/** Secure Boot's part: who authorised an image, as firmware and shim put it into PCR 7, and shim's lists in PCR 14. */
import { X509Certificate } from 'node:crypto';
import { ByteReader, bytesEqual, ParseError } from '../../bytes/index.ts';
import { imageSignatures, type PeImage } from '../pe/index.ts';
import { type BootFile, type Measurement, notPredictable } from './measurement.ts';
import { namedSection, naming, parseNamed } from './named-image.ts';

export const SECURE_BOOT_PCR = 7;
export const MOK_PCR = 14;
const X509_LIST = Buffer.from('a159c0a5e494a74a87b5ab155c2bf072', 'hex');
const SHIM_LOCK = Buffer.from('50ab5d6046e00043abb63dd810dd8b23', 'hex');
const IMAGE_SECURITY_DATABASE = Buffer.from('cbb219d73a3d9645a3bcdad00e67656f', 'hex');
const LIST_HEADER = 28;
const OWNER_SIZE = 16;

/** One SIGNATURE_DATA with a certificate: the owner's GUID, then DER. */
interface Authority {
  readonly variable: 'db' | 'MokListRT';
  readonly data: Uint8Array;
  readonly certificate: X509Certificate;
}

/** UEFI_VARIABLE_DATA, as its digest is over (TCG PC Client PFP, "Measuring EFI Variables"). */
export function variableData(vendor: Uint8Array, name: string, data: Uint8Array): Buffer {
  const lengths = Buffer.alloc(16);
  lengths.writeBigUInt64LE(BigInt(name.length), 0);
  lengths.writeBigUInt64LE(BigInt(data.length), 8);
  return Buffer.concat([vendor, lengths, Buffer.from(name, 'utf16le'), data]);
}

/** EFI_SIGNATURE_LISTs: those of X.509 certificates (UEFI 2.10, 32.4.1). */
function authoritiesIn(variable: Authority['variable'], lists: Uint8Array): Authority[] {
  const reader = new ByteReader(lists);
  const authorities: Authority[] = [];
  while (reader.remaining > 0) {
    const type = reader.bytes(16, `${variable}, list type`);
    const size = reader.u32le(`${variable}, list size`);
    const headerSize = reader.u32le(`${variable}, header size`);
    const each = reader.u32le(`${variable}, signature size`);
    const body = reader.section(size - LIST_HEADER, `${variable}, list`);
    if (!bytesEqual(type, X509_LIST)) continue;
    body.bytes(headerSize, `${variable}, list header`);
    if (each <= OWNER_SIZE) body.fail('parse.invalid', `${variable}, signature size`, `${each}`);
    while (body.remaining > 0) {
      const data = body.bytes(each, `${variable}, signature`);
      const certificate = certificateOf(data.subarray(OWNER_SIZE));
      if (certificate !== undefined) authorities.push({ variable, data, certificate });
    }
  }
  return authorities;
}

function certificateOf(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}

/** DER, one level: the content of the next element and what stands behind it. */
function element(bytes: Uint8Array): {
  readonly tag: number;
  readonly whole: Uint8Array;
  readonly content: Uint8Array;
} {
  const reader = new ByteReader(bytes);
  const tag = reader.u8('DER tag');
  const first = reader.u8('DER length');
  let length = first;
  if (first >= 0x80) {
    if (first === 0x80 || first > 0x83) reader.fail('parse.invalid', 'DER length', 'too long');
    length = reader.bytes(first & 0x7f, 'DER length').reduce((value, byte) => value * 256 + byte, 0);
  }
  const content = reader.bytes(length, 'DER content');
  return { tag, whole: bytes.subarray(0, reader.offset), content };
}

function children(bytes: Uint8Array): ReturnType<typeof element>[] {
  const found: ReturnType<typeof element>[] = [];
  for (let at = 0; at < bytes.length; ) {
    const next = element(bytes.subarray(at));
    found.push(next);
    at += next.whole.length;
  }
  return found;
}

const CONTEXT_0 = 0xa0;
/** A chain has some three. */
const MAX_CARRIED = 32;

/** The certificates that a PKCS #7 signature brings (RFC 2315, 9.1). */
function signatureCertificates(pkcs7: Uint8Array): X509Certificate[] {
  const [, content] = children(element(pkcs7).content);
  const signedData = content === undefined ? [] : children(element(content.content).content);
  const certificates = signedData.find(({ tag }) => tag === CONTEXT_0);
  const carried = certificates === undefined ? [] : children(certificates.content);
  // Each is compared with each, and with every key of the firmware's.
  if (carried.length > MAX_CARRIED) {
    throw new ParseError('parse.too-large', 'signature', 0, `it carries ${carried.length} certificates`);
  }
  return carried.flatMap(({ whole }) => certificateOf(whole) ?? []);
}

/** Whose certificates an image's signatures were made with: one of each signature that names its certificate. */
export function imageSigners(image: PeImage): X509Certificate[] {
  return imageSignatures(image).flatMap((signature) => {
    const carried = signatureCertificates(signature);
    // The chain above the signer is carried too: the signer is who has issued none of them.
    return carried.find((one) => !carried.some((other) => other !== one && other.checkIssued(one))) ?? [];
  });
}

function authorises({ certificate }: Authority, carried: readonly X509Certificate[]): boolean {
  return carried.some(
    (candidate) =>
      candidate.raw.equals(certificate.raw) ||
      (candidate.checkIssued(certificate) && candidate.verify(certificate.publicKey)),
  );
}

/** In the order of signatures, then of the lists. A signature itself is taken to be good: else the image does not start. */
function authorityOf(file: BootFile, authorities: readonly Authority[]): Authority {
  const found = naming({ name: `${file.name}, certificate table` }, () =>
    imageSignatures(parseNamed(file))
      .map(signatureCertificates)
      .map((carried) => authorities.find((authority) => authorises(authority, carried)))
      .find((authority) => authority !== undefined),
  );
  if (found !== undefined) return found;
  throw notPredictable(
    `${file.name}: no certificate of ${[...new Set(authorities.map(({ variable }) => variable))].join(' or ')} authorises it`,
    'sign it, or give the lists that the machine will have; one that is allowed by its digest is not followed',
  );
}

function authorityMeasurement({ variable, data }: Authority, source: string): Measurement {
  const vendor = variable === 'db' ? IMAGE_SECURITY_DATABASE : SHIM_LOCK;
  const what = `authority from ${variable}`;
  return { pcr: SECURE_BOOT_PCR, what, source, over: { bytes: variableData(vendor, variable, data) } };
}

/** The certificates and digests built into a shim (shim: cert.S, struct cert_table of section .vendor_cert). */
export interface ShimLists {
  readonly allowed: Uint8Array;
  readonly denied: Uint8Array;
}

export function shimLists(shim: BootFile, image: PeImage = parseNamed(shim)): ShimLists {
  const bytes = namedSection(shim, image, '.vendor_cert');
  if (bytes === undefined) throw notPredictable(`${shim.name}: no section .vendor_cert, so this is no shim`);
  const [allowedSize = 0, deniedSize = 0, allowedAt = 0, deniedAt = 0] = naming(shim, () => {
    const reader = new ByteReader(bytes);
    return Array.from({ length: 4 }, () => reader.u32le('.vendor_cert, cert_table'));
  });
  if (allowedAt + allowedSize > bytes.length || deniedAt + deniedSize > bytes.length) {
    throw notPredictable(`${shim.name}: section .vendor_cert names bytes outside of it`);
  }
  const allowed = bytes.subarray(allowedAt, allowedAt + allowedSize);
  const isCertificate = allowed[0] === 0x30;
  return {
    allowed: isCertificate ? x509List(allowed) : allowed,
    denied: bytes.subarray(deniedAt, deniedAt + deniedSize),
  };
}

/** What shim has the variable SbatLevel hold at least, unless its policy variable asks for another (shim: sbat.c). */
export function shimSbatLevel(shim: BootFile): Uint8Array | undefined {
  const section = namedSection(shim, parseNamed(shim), '.sbatlevel');
  if (section === undefined) return undefined;
  return (
    automaticSbatLevel(section) ?? notFollowed(`${shim.name}: section .sbatlevel is of a form that is not followed`)
  );
}

/** shim: sbat_var.S. Undefined in another form. */
export function automaticSbatLevel(section: Uint8Array): Uint8Array | undefined {
  if (section.length < 12) return undefined;
  const fields = new ByteReader(section);
  const version = fields.u32le('.sbatlevel, version');
  // Offsets count from behind the version: first the automatic level, then the latest.
  const at = fields.u32le('.sbatlevel, automatic level') + 4;
  const end = section.indexOf(0, at);
  const level = section.subarray(at, end);
  return version === 0 && end >= 0 && sbatDate(level) !== undefined ? level : undefined;
}

function notFollowed(what: string): never {
  throw notPredictable(what);
}

/** `sbat,1,2025021800`: the greater one is newer. */
export function sbatDate(level: Uint8Array): string | undefined {
  return /^sbat,1,(\d{10})\n/.exec(Buffer.from(level).toString('latin1'))?.[1];
}

function x509List(der: Uint8Array): Buffer {
  const sizes = Buffer.alloc(12);
  sizes.writeUInt32LE(LIST_HEADER + OWNER_SIZE + der.length, 0);
  sizes.writeUInt32LE(OWNER_SIZE + der.length, 8);
  return Buffer.concat([X509_LIST, sizes, SHIM_LOCK, der]);
}

/** What a machine owner has enrolled: the variables MokList and MokListX, empty where there is none. */
export interface MachineOwnerLists {
  readonly mokList: Uint8Array;
  readonly mokListX: Uint8Array;
}

/** PCR 14 up to MokListTrusted, which is the machine's own (shim: mok.c:import_mok_state). */
export function mokMeasurements(shim: BootFile, lists: ShimLists, owner: MachineOwnerLists): Measurement[] {
  const head = { pcr: MOK_PCR, source: shim.name };
  return [
    { ...head, what: 'MokList', over: { bytes: Buffer.concat([lists.allowed, owner.mokList]) } },
    { ...head, what: 'MokListX', over: { bytes: Buffer.concat([lists.denied, owner.mokListX]) } },
  ];
}

/** Each authority once, as the firmware measures it when it first serves. */
export function firmwareAuthorities(images: readonly BootFile[], db: Uint8Array): Measurement[] {
  const authorities = authoritiesIn('db', db);
  return once(images.map((image) => ({ image, authority: authorityOf(image, authorities) })));
}

/** shim looks into db first, then into its own list (shim: shim.c:check_allowlist). */
export function shimAuthorities(
  images: readonly BootFile[],
  db: Uint8Array,
  lists: ShimLists,
  owner: MachineOwnerLists,
): Measurement[] {
  const own = authoritiesIn('MokListRT', Buffer.concat([lists.allowed, owner.mokList]));
  const authorities = [...authoritiesIn('db', db), ...own];
  return once(images.map((image) => ({ image, authority: authorityOf(image, authorities) })));
}

function once(used: readonly { readonly image: BootFile; readonly authority: Authority }[]): Measurement[] {
  const seen: Authority[] = [];
  return used.flatMap(({ image, authority }) => {
    if (seen.includes(authority)) return [];
    seen.push(authority);
    return [authorityMeasurement(authority, image.name)];
  });
}
