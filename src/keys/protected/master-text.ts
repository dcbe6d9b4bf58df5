/**
 * The payload of a master key: 64 characters, so that a shell can hand it to keyctl as it is.
 * @param entropy 32 bytes that only the protector gives; a secret
 */
export function masterText(entropy: Uint8Array): Buffer {
  return Buffer.from(Buffer.from(entropy).toString('hex'), 'latin1');
}
