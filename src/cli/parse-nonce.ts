/** `--nonce 00112233…`. */
import { InvalidArgumentError } from 'commander';

/** What every TPM takes as qualifying data: the largest digest (Part 2, 10.4.3, TPM2B_DATA). */
const MAX_NONCE = 64;

/** @throws {InvalidArgumentError} where it is not 1 to 64 bytes in hex */
export function parseNonce(text: string): Uint8Array {
  if (/^([0-9a-fA-F]{2})+$/.test(text) && text.length <= 2 * MAX_NONCE) return Buffer.from(text, 'hex');
  throw new InvalidArgumentError(`a nonce is 1 to ${MAX_NONCE} bytes, each two hex digits`);
}
