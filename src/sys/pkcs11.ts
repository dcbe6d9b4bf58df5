/** A private key that stays in a token: found by its URI, it signs through the module (OASIS PKCS #11 v2.40). */
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { SysError } from './error.ts';
import { type Attribute, Pkcs11Module } from './pkcs11-module.ts';
import { type Pkcs11Uri, parsePkcs11Uri } from './pkcs11-uri.ts';

export interface Pkcs11Key {
  readonly kind: 'rsa' | 'ec';
  readonly publicKey: KeyObject;
  /**
   * RSA: PKCS#1 type 1 over the bytes as they are (CKM_RSA_PKCS), so a DigestInfo must be given. EC: over a digest; DER.
   * @throws {SysError} `sys.token`
   */
  sign(bytes: Uint8Array): Buffer;
  /**
   * What was encrypted to its public key with PKCS#1 v1.5 (CKM_RSA_PKCS), which every token has; RSA keys only.
   * @throws {SysError} `sys.token`
   */
  decrypt(bytes: Uint8Array): Buffer;
  /** Ends the session; the key cannot sign after it. */
  close(): void;
}

export interface Pkcs11Options {
  /** Instead of the URI's pin-value or pin-source. */
  readonly pin?: string;
  /** The module's file, where the URI names none; PKCS11_MODULE_PATH or p11-kit's proxy otherwise. */
  readonly module?: string;
}

const CKA = {
  class: 0,
  label: 3,
  id: 0x102,
  keyType: 0x100,
  modulus: 0x120,
  exponent: 0x122,
  ecParams: 0x180,
  ecPoint: 0x181,
};
const CKO = { publicKey: 2, privateKey: 3 };
const CKK = { rsa: 0, ec: 3 };
const CKM = { rsaPkcs: 1, ecdsa: 0x1041 };
const CKF_SERIAL_SESSION = 4;

/** The proxy of p11-kit gives every module that the machine has configured. */
const P11_KIT_PROXY = 'p11-kit-proxy.so';

/**
 * Opens a session and finds the one private key that the URI means. Belongs to the thread that opened it.
 * @throws {SysError} `sys.token` where no token or no key, or more than one, fits the URI, or where the module refuses;
 *   `sys.unavailable` without koffi
 */
export function openPkcs11Key(text: string, options: Pkcs11Options = {}): Pkcs11Key {
  const uri = parsePkcs11Uri(text);
  const path = uri.modulePath ?? options.module ?? process.env.PKCS11_MODULE_PATH ?? P11_KIT_PROXY;
  const module = Pkcs11Module.load(path);
  const session = openSession(module, onlySlot(module, uri));
  try {
    const pin = options.pin ?? uri.pinValue ?? pinFrom(uri.pinSource);
    if (pin !== undefined) module.login(session, Buffer.from(pin));
    return keyOf(module, session, uri);
  } catch (error) {
    module.call('C_CloseSession', [session]);
    throw error;
  }
}

function pinFrom(source: string | undefined): string | undefined {
  if (source === undefined) return undefined;
  const path = source.replace(/^file:(?:\/\/(?=\/))?/, '');
  try {
    return readFileSync(path, 'utf8').split('\n')[0];
  } catch (cause) {
    throw new SysError('sys.token', `the PIN's file ${path} cannot be read`, { cause });
  }
}

function onlySlot(module: Pkcs11Module, uri: Pkcs11Uri): bigint {
  const [slot, ...more] = module.slots().filter((one) => fits(module, one, uri));
  if (slot !== undefined && more.length === 0) return slot;
  const count = slot === undefined ? 'no token fits' : `${more.length + 1} tokens fit`;
  throw new SysError('sys.token', `PKCS#11 module ${module.path}: ${count} the URI`, {
    advice: 'name one token with token= or serial=',
  });
}

/** CK_TOKEN_INFO begins with label (32), manufacturer (32), model (16) and serial number (16), padded with blanks. */
function fits(module: Pkcs11Module, slot: bigint, { slotId, token, manufacturer, model, serial }: Pkcs11Uri): boolean {
  if (slotId !== undefined && slot !== BigInt(slotId)) return false;
  const info = Buffer.alloc(512);
  module.call('C_GetTokenInfo', [slot, info]);
  const is = (wanted: string | undefined, start: number, end: number): boolean =>
    wanted === undefined || info.toString('utf8', start, end).trimEnd() === wanted;
  return is(token, 0, 32) && is(manufacturer, 32, 64) && is(model, 64, 80) && is(serial, 80, 96);
}

function openSession(module: Pkcs11Module, slot: bigint): bigint {
  const handle = new BigUint64Array(1);
  module.call('C_OpenSession', [slot, CKF_SERIAL_SESSION, null, null, handle]);
  return handle[0] ?? 0n;
}

function ulong(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function templateOf(objectClass: number, { object, id }: Pick<Pkcs11Uri, 'object' | 'id'>): Attribute[] {
  return [
    { type: CKA.class, value: ulong(objectClass) },
    ...(object === undefined ? [] : [{ type: CKA.label, value: Buffer.from(object) }]),
    ...(id === undefined ? [] : [{ type: CKA.id, value: id }]),
  ];
}

function keyOf(module: Pkcs11Module, session: bigint, uri: Pkcs11Uri): Pkcs11Key {
  const [handle, ...more] = module.find(session, templateOf(CKO.privateKey, uri));
  if (handle === undefined || more.length > 0) {
    const count = handle === undefined ? 'no private key fits' : 'more than one private key fits';
    throw new SysError('sys.token', `PKCS#11 module ${module.path}: ${count} the URI`, {
      advice: 'name one key with object= or id=, and give the PIN: tokens hide private keys without it',
    });
  }
  const kind = kindOf(module, session, handle);
  const publicKey = kind === 'rsa' ? rsaPublicKey(module, session, handle) : ecPublicKey(module, session, handle);
  return {
    kind,
    publicKey,
    sign: kind === 'rsa' ? rsaSign(module, session, handle, publicKey) : ecSign(module, session, handle, publicKey),
    decrypt: decrypter(module, session, handle, kind),
    close: () => module.call('C_CloseSession', [session]),
  };
}

function kindOf(module: Pkcs11Module, session: bigint, handle: bigint): 'rsa' | 'ec' {
  const type = module.attribute(session, handle, CKA.keyType).readUInt32LE();
  if (type === CKK.rsa) return 'rsa';
  if (type === CKK.ec) return 'ec';
  throw new SysError('sys.token', `PKCS#11 module ${module.path}: the key is neither RSA nor on an elliptic curve`);
}

function fromJwk(module: Pkcs11Module, jwk: JsonWebKey): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch (cause) {
    throw new SysError('sys.token', `PKCS#11 module ${module.path}: its public key is malformed`, { cause });
  }
}

function rsaPublicKey(module: Pkcs11Module, session: bigint, handle: bigint): KeyObject {
  const number = (type: number): string => module.attribute(session, handle, type).toString('base64url');
  return fromJwk(module, { kty: 'RSA', n: number(CKA.modulus), e: number(CKA.exponent) });
}

/** CKA_EC_PARAMS as the DER of the curve's OBJECT IDENTIFIER (SEC 2; RFC 5480, 2.1.1.1). */
const CURVES: Readonly<Record<string, { crv: string; size: number }>> = {
  '06082a8648ce3d030107': { crv: 'P-256', size: 32 },
  '06052b81040022': { crv: 'P-384', size: 48 },
  '06052b81040023': { crv: 'P-521', size: 66 },
};

/** The point is an attribute of the public object, which has the private one's id; some modules leave its OCTET STRING out. */
function ecPublicKey(module: Pkcs11Module, session: bigint, handle: bigint): KeyObject {
  const curve = CURVES[module.attribute(session, handle, CKA.ecParams).toString('hex')];
  if (curve === undefined) {
    throw new SysError('sys.token', `PKCS#11 module ${module.path}: the key is on none of P-256, P-384, P-521`);
  }
  const id = module.attribute(session, handle, CKA.id);
  const [publicObject] = module.find(session, templateOf(CKO.publicKey, { object: undefined, id }));
  if (publicObject === undefined) {
    throw new SysError('sys.token', `PKCS#11 module ${module.path}: the private key has no public object beside it`, {
      advice: 'import the public key with the same id',
    });
  }
  const point = module.attribute(session, publicObject, CKA.ecPoint).subarray(-(1 + 2 * curve.size));
  const coordinate = (start: number): string => point.toString('base64url', start, start + curve.size);
  return fromJwk(module, { kty: 'EC', crv: curve.crv, x: coordinate(1), y: coordinate(1 + curve.size) });
}

/** CK_MECHANISM {mechanism, pParameter, ulParameterLen}. */
const mechanism = (type: number): Buffer => Buffer.concat([ulong(type), Buffer.alloc(16)]);

function rawSigner(module: Pkcs11Module, session: bigint, handle: bigint, type: number): (bytes: Uint8Array) => Buffer {
  const how = mechanism(type);
  return (bytes) => {
    const signature = Buffer.alloc(2048);
    const length = new BigUint64Array([BigInt(signature.length)]);
    module.call('C_SignInit', [session, how, handle]);
    module.call('C_Sign', [session, bytes, bytes.length, signature, length]);
    return signature.subarray(0, Number(length[0]));
  };
}

function decrypter(module: Pkcs11Module, session: bigint, handle: bigint, kind: 'rsa' | 'ec'): Pkcs11Key['decrypt'] {
  return (bytes) => {
    if (kind !== 'rsa') throw new SysError('sys.token', `PKCS#11 module ${module.path}: only an RSA key decrypts`);
    const clear = Buffer.alloc(2048);
    const length = new BigUint64Array([BigInt(clear.length)]);
    module.call('C_DecryptInit', [session, mechanism(CKM.rsaPkcs), handle]);
    module.call('C_Decrypt', [session, bytes, bytes.length, clear, length]);
    return clear.subarray(0, Number(length[0]));
  };
}

function rsaSign(module: Pkcs11Module, session: bigint, handle: bigint, publicKey: KeyObject): Pkcs11Key['sign'] {
  const sign = rawSigner(module, session, handle, CKM.rsaPkcs);
  const size = Math.ceil((publicKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
  return (bytes) => {
    const signature = sign(bytes);
    if (signature.length === size) return signature;
    throw new SysError('sys.token', `PKCS#11 module ${module.path}: a signature of ${signature.length} bytes`);
  };
}

/** The token gives r ‖ s; and takes no digest longer than the curve's order, whose left bits are what ECDSA signs. */
function ecSign(module: Pkcs11Module, session: bigint, handle: bigint, publicKey: KeyObject): Pkcs11Key['sign'] {
  const sign = rawSigner(module, session, handle, CKM.ecdsa);
  const size = { prime256v1: 32, secp384r1: 48 }[publicKey.asymmetricKeyDetails?.namedCurve ?? ''] ?? 66;
  return (digest) => {
    const pair = sign(digest.subarray(0, size));
    const half = pair.length / 2;
    return ecdsaSigValue(pair.subarray(0, half), pair.subarray(half));
  };
}

function ecdsaSigValue(r: Uint8Array, s: Uint8Array): Buffer {
  const body = Buffer.concat([derInteger(r), derInteger(s)]);
  const head = body.length < 0x80 ? Buffer.of(0x30, body.length) : Buffer.of(0x30, 0x81, body.length);
  return Buffer.concat([head, body]);
}

function derInteger(bytes: Uint8Array): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const value = start < 0 ? Buffer.of(0) : bytes.subarray(start);
  const sign = (value[0] ?? 0) & 0x80 ? Buffer.of(0) : Buffer.of();
  return Buffer.concat([Buffer.of(2, value.length + sign.length), sign, value]);
}
