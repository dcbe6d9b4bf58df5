/** An encrypted key as the kernel loads it (`security/keys/encrypted-keys/encrypted.c`), for a payload that the test knows. */
import { createCipheriv, createHash, createHmac } from 'node:crypto';

/**
 * The argument of `keyctl add encrypted NAME …` that loads `payload`, sealed by the payload of the key `user:MASTER`.
 * @param payload a multiple of 16 bytes
 */
export function loadEncryptedKey(payload: Buffer, master: { readonly name: string; readonly payload: Buffer }): string {
  const iv = Buffer.alloc(16, 0x1f);
  const cipher = createCipheriv('aes-256-cbc', derivedKey('ENC_KEY', master.payload), iv).setAutoPadding(false);
  const sealed = Buffer.concat([cipher.update(payload), cipher.final()]);
  const words = ['default', `user:${master.name}`, `${payload.length}`];
  const named = Buffer.from(words.map((word) => `${word}\0`).join(''));
  const body = Buffer.concat([iv, Buffer.of(0), sealed]);
  const tag = createHmac('sha256', derivedKey('AUTH_KEY', master.payload)).update(named).update(body).digest();
  return ['load', ...words, Buffer.concat([body, tag]).toString('hex')].join(' ');
}

/** get_derived_key: the buffer is sized for the longer of the two purposes, so that a zero byte ends the shorter one's. */
function derivedKey(purpose: 'ENC_KEY' | 'AUTH_KEY', master: Buffer): Buffer {
  const buffer = Buffer.alloc(Math.max(32, 'AUTH_KEY'.length + 1 + master.length));
  buffer.write(purpose, 'latin1');
  buffer.set(master, purpose.length + 1);
  return createHash('sha256').update(buffer).digest();
}
