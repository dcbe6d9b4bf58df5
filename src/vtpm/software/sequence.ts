/**
 * Hashes and MACs of more than one buffer: sequence objects (TPM 2.0 Part 1, 32; Part 4, Object.c). A sequence is data, as
 * an object is: it is saved, migrated and loaded again in the middle.
 */
import { digestInfo } from '../../bytes/index.ts';
import {
  list,
  oneOf,
  TPM_GENERATED,
  TPM_RC,
  TPM2B_AUTH,
  TPM2B_SYM_KEY,
  type TypeOf,
  tagged,
  tpm2b,
  uint8,
  uint16,
} from '../../tpm/index.ts';
import { finishHash, HASH_STATE, startHash, updateHash } from './hash-state.ts';
import { HASHES, type ImplementedHash } from './limits.ts';
import { type BlockCipher, blockSize, encryptBlocks } from './symmetric.ts';

const KIND = oneOf('SequenceKind', uint8, TPM_RC.VALUE, { hash: 1, hmac: 2, cmac: 3, event: 4 });
/** Whether the digest may get a ticket: known from the first buffer on. */
const SAFETY = oneOf('Safety', uint8, TPM_RC.VALUE, { unknown: 0, safe: 1, unsafe: 2 });
const CIPHER = oneOf('Cipher', uint8, TPM_RC.VALUE, { aes: 1, camellia: 2, tdes: 3 });
const BLOCK = tpm2b('block', 16);

export const SEQUENCE = tagged('Sequence', {
  selector: { kind: KIND },
  shared: { authValue: TPM2B_AUTH },
  variants: {
    hash: { state: HASH_STATE, safety: SAFETY },
    /** Both hashes have taken in the padded key. */
    hmac: { inner: HASH_STATE, outer: HASH_STATE },
    cmac: { algorithm: CIPHER, keyBits: uint16, key: TPM2B_SYM_KEY, chain: BLOCK, pending: BLOCK },
    /** Every hash at once, for a PCR of every bank. */
    event: { states: list('states', HASH_STATE, HASHES.length) },
  },
});
export type Sequence = TypeOf<typeof SEQUENCE>;
type Kind<K extends Sequence['kind']> = Extract<Sequence, { kind: K }>;

export function hashSequence(authValue: Uint8Array, hashAlg: ImplementedHash): Sequence {
  return { kind: 'hash', authValue, state: startHash(hashAlg), safety: 'unknown' };
}

/** RFC 2104. */
export function hmacSequence(authValue: Uint8Array, hashAlg: ImplementedHash, key: Uint8Array): Kind<'hmac'> {
  const size = hashBlockSize(hashAlg);
  const short = key.length > size ? finishHash(startHash(hashAlg, key)) : key;
  const padded = (pad: number): Uint8Array => new Uint8Array(size).map((_, i) => (short[i] ?? 0) ^ pad);
  const [inner, outer] = [startHash(hashAlg, padded(0x36)), startHash(hashAlg, padded(0x5c))];
  return { kind: 'hmac', authValue, inner, outer };
}

/** Bytes that a hash takes in at once. */
export function hashBlockSize(hashAlg: ImplementedHash): number {
  return digestInfo(hashAlg).size > 32 ? 128 : 64;
}

export function cmacSequence(authValue: Uint8Array, cipher: BlockCipher, key: Uint8Array): Kind<'cmac'> {
  const { algorithm, keyBits } = cipher;
  const chain = new Uint8Array(blockSize(cipher));
  return { kind: 'cmac', authValue, algorithm, keyBits, key, chain, pending: new Uint8Array(0) };
}

export function eventSequence(authValue: Uint8Array): Sequence {
  return { kind: 'event', authValue, states: HASHES.map((hashAlg) => startHash(hashAlg)) };
}

export function updateSequence(sequence: Sequence, buffer: Uint8Array): Sequence {
  switch (sequence.kind) {
    case 'hash': {
      const { safety } = sequence;
      const state = updateHash(sequence.state, buffer);
      return { ...sequence, state, safety: safety === 'unknown' ? safetyOf(buffer) : safety };
    }
    case 'hmac':
      return { ...sequence, inner: updateHash(sequence.inner, buffer) };
    case 'cmac':
      return updateCmac(sequence, buffer);
    case 'event':
      return { ...sequence, states: sequence.states.map((state) => updateHash(state, buffer)) };
  }
}

/** The digest or MAC. */
export function finishSequence(sequence: Kind<'hash' | 'hmac' | 'cmac'>): Uint8Array {
  switch (sequence.kind) {
    case 'hash':
      return finishHash(sequence.state);
    case 'hmac':
      return finishHash(updateHash(sequence.outer, finishHash(sequence.inner)));
    case 'cmac':
      return finishCmac(sequence);
  }
}

/** What the first buffer leaves open is not safe (Part 4, Ticket.c: TicketIsSafe). */
function safetyOf(buffer: Uint8Array): 'safe' | 'unsafe' {
  return buffer.length >= 4 && !looksGenerated(buffer) ? 'safe' : 'unsafe';
}

/** Data that could pass for an attestation of this TPM gets no ticket (Part 3, 15.4.1). */
export function looksGenerated(data: Uint8Array): boolean {
  return data.length >= 4 && Buffer.from(data).readUInt32BE() === TPM_GENERATED;
}

// --- CMAC (NIST SP 800-38B) -------------------------------------------------------------------------------------------

const xor = (a: Uint8Array, b: Uint8Array): Buffer => Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)));

/** The last block is kept back, full or not: it is finished another way. */
function updateCmac(sequence: Kind<'cmac'>, buffer: Uint8Array): Kind<'cmac'> {
  const size = sequence.chain.length;
  let { chain } = sequence;
  let pending: Uint8Array = Buffer.concat([sequence.pending, buffer]);
  for (; pending.length > size; pending = pending.subarray(size)) {
    chain = encryptBlocks(sequence, sequence.key, xor(chain, pending));
  }
  return { ...sequence, chain, pending };
}

function finishCmac({ chain, pending, key, ...cipher }: Kind<'cmac'>): Uint8Array {
  const size = chain.length;
  const whole = doubled(encryptBlocks(cipher, key, new Uint8Array(size)));
  if (pending.length === size) return encryptBlocks(cipher, key, xor(xor(chain, pending), whole));
  const padded = Buffer.alloc(size);
  padded.set([...pending, 0x80]);
  return encryptBlocks(cipher, key, xor(xor(chain, padded), doubled(whole)));
}

/** Multiplied by x in GF(2^128), or GF(2^64) for blocks of 8 (SP 800-38B, 6.1). */
function doubled(block: Uint8Array): Uint8Array {
  const shifted = block.map((byte, i) => (byte << 1) | ((block[i + 1] ?? 0) >> 7));
  const reduction = block.length === 8 ? 0x1b : 0x87;
  const last = block.length - 1;
  if ((block[0] ?? 0) >= 0x80) shifted[last] = (shifted[last] ?? 0) ^ reduction;
  return shifted;
}
