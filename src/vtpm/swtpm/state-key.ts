/** The AES key under which swtpm keeps its state. */
import { VtpmError } from '../error.ts';

/** 16 or 32 bytes: AES-128-CBC or AES-256-CBC, with an HMAC by swtpm. */
export type StateKey = Uint8Array;

/** @throws {VtpmError} `vtpm.argument` */
export function keyText(key: StateKey): string {
  if (key.length === 16 || key.length === 32) return Buffer.from(key).toString('hex');
  throw new VtpmError('vtpm.argument', `a state key of ${key.length} bytes; AES takes 16 or 32`);
}

export const setupCipher = (key: StateKey): string => `aes-${key.length * 8}-cbc`;
/** swtpm itself calls the smaller one by its family's name. */
export const daemonCipher = (key: StateKey): string => (key.length === 16 ? 'aes-cbc' : 'aes-256-cbc');
