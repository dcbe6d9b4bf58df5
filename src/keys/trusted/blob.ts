/**
 * A trusted key outside the TPM, as the kernel writes and reads it (security/keys/trusted-keys/trusted_tpm2.c:
 * tpm2_key_encode, tpm2_key_decode; tpm2key.asn1): the `TPMKey` of "ASN.1 Specification for TPM 2.0 Key Files", and the
 * older form, which is TPM2B_PRIVATE ‖ TPM2B_PUBLIC.
 */
import {
  AsnConvert,
  AsnIntegerBigIntConverter,
  AsnProp,
  AsnPropTypes,
  AsnType,
  AsnTypeTypes,
  OctetString,
} from '@peculiar/asn1-schema';
import { ParseError } from '../../bytes/index.ts';
import { decode, encode, TPM2B_PRIVATE, TPM2B_PUBLIC, type TPMT_PUBLIC } from '../../tpm/index.ts';
import { KeyError } from '../error.ts';

export interface TrustedBlob {
  readonly form: 'asn1' | 'legacy';
  /** Handle of the storage key; the older form does not hold it. */
  readonly parent: number | undefined;
  /** Says that no authorization value is needed; a remark that nothing vouches for. */
  readonly emptyAuth: boolean;
  readonly area: SealedArea;
  /** Content of the TPM2B_PRIVATE: only the TPM that wrapped it can open it. */
  readonly private: Uint8Array;
}

export type SealedArea = Extract<TPMT_PUBLIC, { type: 'keyedhash' }>;

/** trusted-type.h: MAX_BLOB_SIZE. */
export const MAX_BLOB_SIZE = 512;

class TPMKey {
  type = SEALED_DATA;
  /** Left as it is in DER: the kernel writes 01 for true, where DER has FF. */
  emptyAuth?: ArrayBuffer;
  parent = 0n;
  pubkey = new OctetString();
  privkey = new OctetString();
}

/** OID_TPMSealedData (linux/oid_registry.h). */
const SEALED_DATA = '2.23.133.10.1.5';
const TRUE = Uint8Array.of(1, 1, 1);

AsnType({ type: AsnTypeTypes.Sequence })(TPMKey);
AsnProp({ type: AsnPropTypes.ObjectIdentifier })(TPMKey.prototype, 'type');
AsnProp({ type: AsnPropTypes.Any, context: 0, optional: true })(TPMKey.prototype, 'emptyAuth');
AsnProp({ type: AsnPropTypes.Integer, converter: AsnIntegerBigIntConverter })(TPMKey.prototype, 'parent');
AsnProp({ type: OctetString })(TPMKey.prototype, 'pubkey');
AsnProp({ type: OctetString })(TPMKey.prototype, 'privkey');

/**
 * @param text hexadecimal as `keyctl pipe` gives it, with the kernel's word `load` before it or without
 * @throws {KeyError} `key.malformed`
 */
export function parseTrustedKey(text: string): TrustedBlob {
  const hex = text.trim().replace(/^load\s+/, '');
  if (!/^(?:[0-9a-fA-F]{2})+$/.test(hex)) throw malformed('it is not hexadecimal');
  return parseTrustedBlob(Buffer.from(hex, 'hex'));
}

/** @throws {KeyError} `key.malformed` */
export function parseTrustedBlob(bytes: Uint8Array): TrustedBlob {
  if (bytes.length > MAX_BLOB_SIZE)
    throw malformed(`it has ${bytes.length} bytes, and the kernel takes ${MAX_BLOB_SIZE}`);
  return bytes[0] === 0x30 ? parseAsn1(bytes) : parseLegacy(bytes);
}

function parseAsn1(bytes: Uint8Array): TrustedBlob {
  const key = parseSequence(bytes);
  if (key.type !== SEALED_DATA) throw malformed(`it holds ${key.type}, and not sealed data (${SEALED_DATA})`);
  if (key.parent <= 0n || key.parent > 0xffffffffn) throw malformed('its parent is no handle');
  const { area, rest } = areaOf(new Uint8Array(key.pubkey.buffer));
  if (rest.length > 0) throw malformed('bytes are left after its public area');
  return {
    form: 'asn1',
    parent: Number(key.parent),
    emptyAuth: key.emptyAuth !== undefined && booleanOf(new Uint8Array(key.emptyAuth)),
    area,
    private: privateOf(new Uint8Array(key.privkey.buffer)).content,
  };
}

/** The kernel writes 01 for true and does not read it; other writers give DER's FF, and a false that is written out. */
function booleanOf(der: Uint8Array): boolean {
  const [tag, length, octet, ...rest] = der;
  const isBoolean = tag === 1 && length === 1 && rest.length === 0;
  if (isBoolean && (octet === 1 || octet === 0xff)) return true;
  if (isBoolean && octet === 0) return false;
  throw malformed('its emptyAuth is no BOOLEAN');
}

function parseSequence(bytes: Uint8Array): TPMKey {
  try {
    const key = AsnConvert.parse(bytes, TPMKey);
    // What is not its DER would be another blob when it is written again, and the kernel reads to the sequence's end only.
    if (Buffer.from(AsnConvert.serialize(key)).equals(bytes)) return key;
  } catch (error) {
    throw malformed('its DER is no TPMKey', error);
  }
  throw malformed('its DER is not canonical, or bytes are left after it');
}

function parseLegacy(bytes: Uint8Array): TrustedBlob {
  const { content, rest } = privateOf(bytes, true);
  const found = areaOf(rest);
  if (found.rest.length > 0) throw malformed('bytes are left after its public area');
  return { form: 'legacy', parent: undefined, emptyAuth: false, area: found.area, private: content };
}

function privateOf(bytes: Uint8Array, mayGoOn = false): { content: Uint8Array; rest: Uint8Array } {
  const size = bytes.length < 2 ? -1 : Buffer.from(bytes.subarray(0, 2)).readUInt16BE();
  const end = 2 + size;
  if (size <= 0 || end > bytes.length || (!mayGoOn && end < bytes.length)) {
    throw malformed('its private area is cut short or too long');
  }
  return { content: bytes.subarray(2, end), rest: bytes.subarray(end) };
}

function areaOf(bytes: Uint8Array): { area: SealedArea; rest: Uint8Array } {
  const end = bytes.length < 2 ? 2 : 2 + Buffer.from(bytes.subarray(0, 2)).readUInt16BE();
  if (end > bytes.length) throw malformed('its public area is cut short');
  const area = decodeArea(bytes.subarray(0, end));
  if (area.type !== 'keyedhash') throw malformed(`it is a key of type ${area.type}, and no sealed data`);
  return { area, rest: bytes.subarray(end) };
}

function decodeArea(bytes: Uint8Array): TPMT_PUBLIC {
  try {
    return decode(TPM2B_PUBLIC, bytes);
  } catch (error) {
    if (error instanceof ParseError) throw malformed(`its public area: ${error.message}`, error);
    throw error;
  }
}

/** The bytes that the kernel would write; the older form where the blob came in it. */
export function encodeTrustedBlob(blob: TrustedBlob): Buffer {
  const area = encode(TPM2B_PUBLIC, blob.area);
  const wrapped = encode(TPM2B_PRIVATE, blob.private);
  if (blob.form === 'legacy' || blob.parent === undefined) return Buffer.concat([wrapped, area]);
  const key = new TPMKey();
  if (blob.emptyAuth) key.emptyAuth = TRUE.slice().buffer;
  key.parent = BigInt(blob.parent);
  key.pubkey = new OctetString(area);
  key.privkey = new OctetString(wrapped);
  return Buffer.from(AsnConvert.serialize(key));
}

function malformed(what: string, cause?: unknown): KeyError {
  return new KeyError('key.malformed', `this is no trusted key: ${what}`, { cause });
}
