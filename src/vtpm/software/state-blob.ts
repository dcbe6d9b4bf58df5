/**
 * How a software TPM's state is kept in files and travels between hosts: as one blob, with a check over every byte of it,
 * encrypted where there is a key (AES-CBC, then HMAC; the two keys come from the given one by HKDF-SHA-256).
 *
 *     "ASSAYTPM" ‖ version (2) ‖ part (1) ‖ layer (1) ‖ key bytes (1) ‖ IV (16) ‖ size (4) ‖ content ‖ check (32)
 *
 * The check is the SHA-256 of all before it, or its HMAC-SHA-256 under the key. A blob that travels holds one at rest.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { ByteReader, ByteWriter, bytesEqual, digest } from '../../bytes/index.ts';
import { VtpmError } from '../error.ts';
import { checkStateKey, type StateKey } from '../state-key.ts';

const MAGIC = Buffer.from('ASSAYTPM', 'latin1');
const VERSION = 2;
const IV_SIZE = 16;
const HEADER = MAGIC.length + 2 + 1 + 1 + 1 + IV_SIZE + 4;
const CHECK_SIZE = 32;
const NO_IV = Buffer.alloc(IV_SIZE);

const PARTS = { permanent: 1, volatile: 2, machine: 3 } as const;
/** `machine`: everything at once, as the TPM of this machine is kept. */
export type StatePart = keyof typeof PARTS;

const LAYERS = { rest: 1, travel: 2 } as const;
export type StateLayer = keyof typeof LAYERS;

function keysOf(key: StateKey): { readonly encryption: Buffer; readonly authentication: Buffer } {
  const derive = (purpose: string, size: number): Buffer =>
    Buffer.from(hkdfSync('sha256', checkStateKey(key), '', `assay vtpm state: ${purpose}`, size));
  return { encryption: derive('encryption', key.length), authentication: derive('authentication', CHECK_SIZE) };
}

const cipherOf = (key: StateKey): string => `aes-${key.length * 8}-cbc`;

function checkOf(body: Uint8Array, key: StateKey | undefined): Uint8Array {
  if (key === undefined) return digest('sha256', body);
  return createHmac('sha256', keysOf(key).authentication).update(body).digest();
}

export function sealState(part: StatePart, layer: StateLayer, plain: Uint8Array, key: StateKey | undefined): Buffer {
  const iv = key === undefined ? NO_IV : randomBytes(IV_SIZE);
  const content = key === undefined ? plain : encrypt(key, iv, plain);
  const body = new ByteWriter(HEADER + content.length)
    .bytes(MAGIC)
    .u16be(VERSION)
    .u8(PARTS[part])
    .u8(LAYERS[layer])
    .u8(key?.length ?? 0)
    .bytes(iv)
    .u32be(content.length)
    .bytes(content)
    .finish();
  return Buffer.concat([body, checkOf(body, key)]);
}

function encrypt(key: StateKey, iv: Buffer, plain: Uint8Array): Buffer {
  const cipher = createCipheriv(cipherOf(key), keysOf(key).encryption, iv);
  return Buffer.concat([cipher.update(plain), cipher.final()]);
}

function damaged(name: string, what: string): VtpmError {
  return new VtpmError('vtpm.state-damaged', `${name}: ${what}`, {
    advice: 'restore it from a backup, or move it away: a new software TPM, with another identity, is made then',
  });
}

/** swtpm's own begin with the version and the size of their header (swtpm's src/swtpm/swtpm_nvstore.c, blobheader). */
function foreign(name: string, blob: Uint8Array): VtpmError {
  const isSwtpm = blob[2] === 0 && blob[3] === 10;
  return damaged(
    name,
    isSwtpm ? 'it is a state of swtpm, which alone can open it' : 'it is no state of a software TPM',
  );
}

function wrongKey(name: string, what: string, advice: string): VtpmError {
  return new VtpmError('vtpm.state-key', `${name}: ${what}`, { advice });
}

/** Whether a blob says that it needs a key; not yet that it is whole. */
export function isEncryptedState(blob: Uint8Array): boolean {
  return (blob[MAGIC.length + 4] ?? 0) !== 0;
}

/**
 * @param name what errors call it: the file
 * @param key undefined where it is not encrypted: one that is not is refused where there is a key, for anybody could have
 *   put it there
 * @throws {VtpmError} `vtpm.state-damaged` where any byte is not what was written; `vtpm.state-key` where a key is missing,
 *   is another, or has no place
 */
export function openState(
  part: StatePart,
  layer: StateLayer,
  blob: Uint8Array,
  key: StateKey | undefined,
  name: string,
): Uint8Array {
  if (blob.length < HEADER + CHECK_SIZE) throw damaged(name, `${blob.length} bytes are no state of a software TPM`);
  const body = blob.subarray(0, blob.length - CHECK_SIZE);
  const reader = new ByteReader(body);
  if (!bytesEqual(reader.bytes(MAGIC.length, 'magic'), MAGIC)) throw foreign(name, blob);
  const version = reader.u16be('version');
  if (version !== VERSION) throw damaged(name, `it has version ${version}, and this program reads ${VERSION}`);
  const [partRead, layerRead] = [reader.u8('part'), reader.u8('layer')];
  checkKey(name, reader.u8('key bytes'), key);
  if (!bytesEqual(checkOf(body, key), blob.subarray(body.length))) {
    throw damaged(name, key === undefined ? 'its checksum does not match' : 'it is damaged, or its key is another');
  }
  if (partRead !== PARTS[part] || layerRead !== LAYERS[layer]) throw damaged(name, `it is not the ${part} state`);
  const iv = reader.bytes(IV_SIZE, 'IV');
  const size = reader.u32be('size');
  if (size !== reader.remaining) throw damaged(name, `it says ${size} bytes and has ${reader.remaining}`);
  const content = new Uint8Array(reader.rest());
  return key === undefined ? content : decrypt(key, iv, content);
}

function checkKey(name: string, keySize: number, key: StateKey | undefined): void {
  if (key === undefined && keySize !== 0) throw wrongKey(name, 'it is encrypted', 'give its key with --key');
  if (key !== undefined && keySize === 0) {
    throw wrongKey(name, 'it is not encrypted, though there is a key', 'leave the key out if you trust this file');
  }
  if (key !== undefined && keySize !== key.length) {
    throw wrongKey(name, `its key has ${keySize * 8} bits, and the given one ${key.length * 8}`, 'give its own key');
  }
}

function decrypt(key: StateKey, iv: Uint8Array, content: Uint8Array): Uint8Array {
  const cipher = createDecipheriv(cipherOf(key), keysOf(key).encryption, iv);
  return new Uint8Array(Buffer.concat([cipher.update(content), cipher.final()]));
}
