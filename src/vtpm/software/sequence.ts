/** Hashes and HMACs of more than one buffer: sequence objects (TPM 2.0 Part 1, 32; Part 4, Object.c). */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { digestInfo } from '../../bytes/index.ts';
import { TPM_GENERATED } from '../../tpm/index.ts';
import { HASHES, type ImplementedHash } from './limits.ts';

export type Sequence = { readonly authValue: Uint8Array } & (HashSequence | HmacSequence | EventSequence);

export interface HashSequence {
  readonly kind: 'hash';
  readonly hashAlg: ImplementedHash;
  readonly state: Hash;
  /** Whether the digest may get a ticket: known from the first buffer on, undefined before it. */
  isSafe: boolean | undefined;
}

export interface HmacSequence {
  readonly kind: 'hmac';
  readonly state: Hmac;
}

/** Every hash at once, for a PCR of every bank. */
export interface EventSequence {
  readonly kind: 'event';
  readonly states: readonly { readonly hashAlg: ImplementedHash; readonly state: Hash }[];
}

const newHash = (hashAlg: ImplementedHash): Hash => createHash(digestInfo(hashAlg).opensslName);

export function hashSequence(authValue: Uint8Array, hashAlg: ImplementedHash): Sequence {
  return { kind: 'hash', authValue, hashAlg, state: newHash(hashAlg), isSafe: undefined };
}

export function hmacSequence(authValue: Uint8Array, hashAlg: ImplementedHash, key: Uint8Array): Sequence {
  return { kind: 'hmac', authValue, state: createHmac(digestInfo(hashAlg).opensslName, key) };
}

export function eventSequence(authValue: Uint8Array): Sequence {
  return { kind: 'event', authValue, states: HASHES.map((hashAlg) => ({ hashAlg, state: newHash(hashAlg) })) };
}

export function updateSequence(sequence: Sequence, buffer: Uint8Array): void {
  if (sequence.kind === 'event') {
    for (const { state } of sequence.states) state.update(buffer);
    return;
  }
  // What the first buffer leaves open is not safe (Part 4, Ticket.c: TicketIsSafe)
  if (sequence.kind === 'hash') sequence.isSafe ??= buffer.length >= 4 && !looksGenerated(buffer);
  sequence.state.update(buffer);
}

/** Data that could pass for an attestation of this TPM gets no ticket (Part 3, 15.4.1). */
export function looksGenerated(data: Uint8Array): boolean {
  return data.length >= 4 && Buffer.from(data).readUInt32BE() === TPM_GENERATED;
}
