/**
 * The kernel's encrypted keys: a payload under AES-256-CBC and HMAC-SHA256, with keys derived from a master key's payload
 * (security/keys/encrypted-keys/encrypted.c). The form in which `keyctl pipe` gives one, and `load` takes it, is
 * `[format] master datalen hex(iv ‖ 00 ‖ ciphertext ‖ hmac)`.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { KeyError } from './error.ts';

export const ENCRYPTED_FORMATS = ['default', 'ecryptfs', 'enc32'] as const;
export type EncryptedFormat = (typeof ENCRYPTED_FORMATS)[number];

/** The key under which others are encrypted, as the kernel names it. */
export type MasterName = `${'user' | 'trusted'}:${string}`;

export interface EncryptedKey {
  /** Undefined where the line does not say it: the kernel then leaves it out of the HMAC. */
  readonly format: EncryptedFormat | undefined;
  readonly master: MasterName;
  /** Bytes of the payload. */
  readonly size: number;
  readonly iv: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly hmac: Uint8Array;
}

const IV_SIZE = 16;
/** The kernel keeps the IV with a byte after it that is zero. */
const IV_FIELD = IV_SIZE + 1;
const BLOCK = 16;
const HMAC_SIZE = 32;
/** MIN_DATA_SIZE and MAX_DATA_SIZE; two formats have a fixed size. */
const SIZES: Readonly<Record<EncryptedFormat, { readonly least: number; readonly most: number }>> = {
  default: { least: 20, most: 4096 },
  ecryptfs: { least: 64, most: 64 },
  enc32: { least: 32, most: 32 },
};
/** KEY_TRUSTED_PREFIX and KEY_USER_PREFIX: a name follows the colon, and no space is in it. */
const MASTER = /^(?:user|trusted):[^\s\0]{1,256}$/;
const MAX_LINE = 16 * 1024;

const isMaster = (text: string): text is MasterName => MASTER.test(text);

/** @throws {KeyError} `key.option` */
export function parseMasterName(text: string): MasterName {
  if (isMaster(text)) return text;
  throw new KeyError('key.option', `'${text.slice(0, 80)}' names no master key`, {
    advice: 'write user:NAME or trusted:NAME',
  });
}

/** Whether text looks like an encrypted key's line, well-formed or not. */
export function looksEncrypted(text: string): boolean {
  return /^(?:load )?(?:(?:default|ecryptfs|enc32) )?(?:user|trusted):/.test(text);
}

/**
 * @param text the line of `keyctl pipe`, with the kernel's word `load` before it or without
 * @throws {KeyError} `key.malformed`, which says the place
 */
export function parseEncryptedKey(text: string): EncryptedKey {
  if (text.length > MAX_LINE) throw malformed(`it has more than ${MAX_LINE} characters`);
  const words = text.trim().split(/[ \t]+/);
  if (words[0] === 'load') words.shift();
  const format = ENCRYPTED_FORMATS.find((name) => name === words[0]);
  if (format !== undefined) words.shift();
  const [master = '', length = '', hex = '', ...left] = words;
  if (!isMaster(master)) throw malformed('the name of its master key is neither user:NAME nor trusted:NAME');
  if (left.length > 0 || hex === '') throw malformed('it is not FORMAT MASTER LENGTH HEX');
  if (!/^[1-9]\d{0,3}$/.test(length))
    throw malformed(`its length '${length.slice(0, 20)}' is no number from 20 to 4096`);
  const size = Number(length);
  if (!isSizeOf(format ?? 'default', size)) throw malformed(`a payload of ${size} bytes is not one of its format`);
  if (!/^(?:[0-9a-fA-F]{2})+$/.test(hex)) throw malformed('its last word is not hexadecimal');
  const bytes = Buffer.from(hex, 'hex');
  const padded = Math.ceil(size / BLOCK) * BLOCK;
  const expected = IV_FIELD + padded + HMAC_SIZE;
  if (bytes.length !== expected) {
    throw malformed(`its data has ${bytes.length} bytes, and for a payload of ${size} it must have ${expected}`);
  }
  if (bytes[IV_SIZE] !== 0) throw malformed('the byte after its IV is not zero');
  return {
    format,
    master,
    size,
    iv: bytes.subarray(0, IV_SIZE),
    ciphertext: bytes.subarray(IV_FIELD, IV_FIELD + padded),
    hmac: bytes.subarray(IV_FIELD + padded),
  };
}

/** The line that `keyctl pipe` would give. */
export function encodeEncryptedKey(key: EncryptedKey): string {
  const data = Buffer.concat([key.iv, Buffer.of(0), key.ciphertext, key.hmac]).toString('hex');
  return [...(key.format === undefined ? [] : [key.format]), key.master, String(key.size), data].join(' ');
}

/**
 * Encrypts a payload as the kernel's `new` does.
 * @param masterPayload of the master key: of a `user` key all its bytes, of a trusted key what it unseals to
 * @throws {KeyError} `key.size`
 */
export function encryptKey(
  payload: Uint8Array,
  master: { readonly name: MasterName; readonly payload: Uint8Array },
  format: EncryptedFormat = 'default',
): EncryptedKey {
  checkSize(format, payload.length);
  const iv = randomBytes(IV_SIZE);
  const cipher = createCipheriv('aes-256-cbc', derivedKey('ENC_KEY', master.payload), iv).setAutoPadding(false);
  const padding = Buffer.alloc((BLOCK - (payload.length % BLOCK)) % BLOCK);
  const ciphertext = Buffer.concat([cipher.update(payload), cipher.update(padding), cipher.final()]);
  const unsigned = { format, master: master.name, size: payload.length, iv, ciphertext };
  return { ...unsigned, hmac: hmacOf(unsigned, master.payload) };
}

/** @throws {KeyError} `key.wrong-master` where the HMAC does not hold: another master, or changed bytes */
export function decryptKey(key: EncryptedKey, masterPayload: Uint8Array): Buffer {
  if (!timingSafeEqual(hmacOf(key, masterPayload), key.hmac)) {
    throw new KeyError('key.wrong-master', `the key does not verify under its master key ${key.master}`, {
      advice: 'another key has that name now, or the key’s bytes were changed',
    });
  }
  const decipher = createDecipheriv('aes-256-cbc', derivedKey('ENC_KEY', masterPayload), key.iv).setAutoPadding(false);
  return Buffer.concat([decipher.update(key.ciphertext), decipher.final()]).subarray(0, key.size);
}

/** The same payload under another master key, with a fresh IV: the kernel's `update` changes no more than the name. */
export function reencryptKey(
  key: EncryptedKey,
  masterPayload: Uint8Array,
  to: { readonly name: MasterName; readonly payload: Uint8Array },
): EncryptedKey {
  return encryptKey(decryptKey(key, masterPayload), to, key.format ?? 'default');
}

/** datablob_hmac_append: over the words as strings with their NULs, then IV and ciphertext. */
function hmacOf(key: Omit<EncryptedKey, 'hmac'>, masterPayload: Uint8Array): Buffer {
  const words = [...(key.format === undefined ? [] : [key.format]), key.master, String(key.size)];
  const named = Buffer.from(words.map((word) => `${word}\0`).join(''), 'latin1');
  return createHmac('sha256', derivedKey('AUTH_KEY', masterPayload))
    .update(named)
    .update(key.iv)
    .update(Buffer.of(0))
    .update(key.ciphertext)
    .digest();
}

/** get_derived_key: the buffer is sized for the longer of the two purposes, so that a zero byte ends the shorter one's. */
function derivedKey(purpose: 'ENC_KEY' | 'AUTH_KEY', master: Uint8Array): Buffer {
  const buffer = Buffer.alloc(Math.max(HMAC_SIZE, 'AUTH_KEY'.length + 1 + master.length));
  buffer.write(purpose, 'latin1');
  buffer.set(master, purpose.length + 1);
  return createHash('sha256').update(buffer).digest();
}

const isSizeOf = (format: EncryptedFormat, size: number): boolean =>
  size >= SIZES[format].least && size <= SIZES[format].most;

function checkSize(format: EncryptedFormat, size: number): void {
  if (isSizeOf(format, size)) return;
  const { least, most } = SIZES[format];
  const wanted = least === most ? `exactly ${least}` : `${least} to ${most}`;
  throw new KeyError('key.size', `an encrypted key of format ${format} has ${wanted} bytes, and not ${size}`);
}

function malformed(what: string): KeyError {
  return new KeyError('key.malformed', `this is no encrypted key: ${what}`);
}
