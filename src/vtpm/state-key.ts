/** The AES key under which a vTPM's state is kept, as swtpm's `--key` takes it (man swtpm; swtpm's src/swtpm/key.c). */
import { createHash, pbkdf2Sync } from 'node:crypto';
import { VtpmError } from './error.ts';

/** 16 or 32 bytes: AES-128-CBC or AES-256-CBC, with an HMAC beside it. */
export type StateKey = Uint8Array;
export type StateKeySize = 16 | 32;

const PBKDF2_SALT = 'swtpm';
const PBKDF2_ROUNDS = 1000;

function wrongKey(why: string): VtpmError {
  return new VtpmError('vtpm.argument', `the state key ${why}`); // never the key itself
}

/** @throws {VtpmError} `vtpm.argument` */
export function checkStateKey(key: StateKey): StateKey {
  if (key.length === 16 || key.length === 32) return key;
  throw wrongKey(`has ${key.length} bytes; AES takes 16 or 32`);
}

/**
 * @param content of a key file: the bytes, or their hex digits up to the first blank, perhaps after `0x`
 * @throws {VtpmError} `vtpm.argument` where it is no key of this size
 */
export function parseStateKey(content: Buffer, format: 'hex' | 'binary', size: StateKeySize): StateKey {
  if (format === 'binary') {
    if (content.length === size) return new Uint8Array(content);
    throw wrongKey(`has ${content.length} bytes, and its mode takes ${size}`);
  }
  const [, digits = ''] = /^(?:0x)?([0-9a-f]*)(?:\s|$)/i.exec(content.toString('latin1')) ?? [];
  if (digits.length === size * 2) return new Uint8Array(Buffer.from(digits, 'hex'));
  throw wrongKey(`is not ${size * 2} hex digits, as its mode takes`);
}

/** @param passphrase every byte counts, the end of its line too */
export function deriveStateKey(passphrase: Buffer, kdf: 'sha512' | 'pbkdf2', size: StateKeySize): StateKey {
  if (passphrase.length === 0) throw wrongKey('cannot be derived: the passphrase is empty');
  if (kdf === 'sha512') return new Uint8Array(createHash('sha512').update(passphrase).digest().subarray(0, size));
  return new Uint8Array(pbkdf2Sync(passphrase, PBKDF2_SALT, PBKDF2_ROUNDS, size, 'sha512'));
}
