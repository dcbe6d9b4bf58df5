/** Key derivation: TPM 2.0 Part 1, 11.4.10. */
import { createHmac } from 'node:crypto';
import { ByteWriter, type DigestAlgorithm, digest, digestInfo } from '../../bytes/index.ts';
import { TpmError } from '../errors.ts';

/** Both functions count octets of output with a 32-bit counter of blocks; nothing in a TPM asks for more than this. */
const MAX_BITS = 1 << 16;

/** The label as the specification hashes it: its characters and one NUL (11.4.10.2, 11.4.10.3). */
function terminated(label: string): Uint8Array {
  return Buffer.from(`${label}\0`, 'latin1');
}

function uint32(value: number): Uint8Array {
  return new ByteWriter(4).u32be(value).finish();
}

/** The leading `bits` of the blocks; a number of bits that is no multiple of 8 clears the highest bits of octet 0. */
function leadingBits(bits: number, blockSize: number, block: (counter: number) => Uint8Array): Buffer {
  if (!Number.isInteger(bits) || bits < 1 || bits > MAX_BITS) {
    throw new TpmError('tpm.argument', `${bits} bits is not in 1…${MAX_BITS}`);
  }
  const size = Math.ceil(bits / 8);
  const blocks = Array.from({ length: Math.ceil(size / blockSize) }, (_, i) => block(i + 1));
  const out = Buffer.concat(blocks, size);
  const first = out[0];
  if (bits % 8 !== 0 && first !== undefined) out[0] = first & ((1 << (bits % 8)) - 1);
  return out;
}

/**
 * KDFa: SP800-108 in counter mode with HMAC: blocks HMAC(key, i ‖ label ‖ 00 ‖ contextU ‖ contextV ‖ bits).
 * @returns ⌈bits / 8⌉ bytes
 */
export function KDFa(
  algorithm: DigestAlgorithm,
  key: Uint8Array,
  label: string,
  contextU: Uint8Array,
  contextV: Uint8Array,
  bits: number,
): Buffer {
  const { opensslName, size } = digestInfo(algorithm);
  const fixed = Buffer.concat([terminated(label), contextU, contextV, uint32(bits)]);
  return leadingBits(bits, size, (i) => createHmac(opensslName, key).update(uint32(i)).update(fixed).digest());
}

/**
 * KDFe: SP800-56A's one-step derivation for ECDH: blocks H(i ‖ Z ‖ use ‖ 00 ‖ partyUInfo ‖ partyVInfo).
 * @param z x-coordinate of the shared point, padded to the curve's size
 * @param partyUInfo x-coordinate of the ephemeral (sender's) public key, padded to the curve's size
 * @param partyVInfo x-coordinate of the recipient's public key, padded to the curve's size
 */
export function KDFe(
  algorithm: DigestAlgorithm,
  z: Uint8Array,
  use: string,
  partyUInfo: Uint8Array,
  partyVInfo: Uint8Array,
  bits: number,
): Buffer {
  const { size } = digestInfo(algorithm);
  const label = terminated(use);
  return leadingBits(bits, size, (i) => digest(algorithm, uint32(i), z, label, partyUInfo, partyVInfo));
}
