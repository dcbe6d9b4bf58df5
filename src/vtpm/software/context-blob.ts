/** Saved contexts: encrypted and bound to this TPM and power cycle (Part 1, 30; Part 4, Context_spt.c). */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { bytesEqual } from '../../bytes/index.ts';
import { type Codec, decode, encode, handleName, KDFa, type TPMS_CONTEXT, uint32, uint64 } from '../../tpm/index.ts';
import { INTEGRITY_HASH } from './limits.ts';
import type { Machine } from './machine.ts';
import { refuse } from './refusal.ts';

/** What makes a context of before a TPM Reset, or of a stClear object of before a Startup(CLEAR), unloadable. */
function epoch(machine: Machine, savedHandle: number): Uint8Array {
  const { volatile, permanent } = machine;
  const isStClear = savedHandle === 0x80000002;
  return Buffer.concat([
    encode(uint32, permanent.resetCount),
    encode(uint32, isStClear ? volatile.clearCount : 0),
    volatile.nullProof,
  ]);
}

const INTEGRITY_SIZE = 64;

function protect(machine: Machine, hierarchy: number, savedHandle: number, sequence: bigint) {
  const proof = machine.proof(hierarchy);
  const where = Buffer.concat([encode(uint64, sequence), handleName(savedHandle), handleName(hierarchy)]);
  const derived = KDFa(INTEGRITY_HASH, proof, 'CONTEXT', where, epoch(machine, savedHandle), 384);
  const [key, iv] = [derived.subarray(0, 32), derived.subarray(32)];
  const integrity = (encrypted: Uint8Array): Uint8Array =>
    createHmac(INTEGRITY_HASH, proof).update(epoch(machine, savedHandle)).update(where).update(encrypted).digest();
  return { key, iv, integrity };
}

export function sealContext<T>(
  machine: Machine,
  hierarchy: number,
  savedHandle: number,
  sequence: bigint,
  codec: Codec<T>,
  value: T,
): Uint8Array {
  const { key, iv, integrity } = protect(machine, hierarchy, savedHandle, sequence);
  const encrypted = createCipheriv('aes-256-cfb', key, iv).update(encode(codec, value));
  return Buffer.concat([integrity(encrypted), encrypted]);
}

/** @throws {Refusal} `INTEGRITY` for a context that is not this TPM's of this power cycle */
export function openContext<T>(machine: Machine, context: TPMS_CONTEXT, codec: Codec<T>): T {
  const { hierarchy, savedHandle, sequence, contextBlob } = context;
  if (contextBlob.length < INTEGRITY_SIZE) refuse('SIZE', 'context');
  const { key, iv, integrity } = protect(machine, hierarchy, savedHandle, sequence);
  const encrypted = contextBlob.subarray(INTEGRITY_SIZE);
  if (!bytesEqual(integrity(encrypted), contextBlob.subarray(0, INTEGRITY_SIZE))) refuse('INTEGRITY', 'context');
  return decode(codec, createDecipheriv('aes-256-cfb', key, iv).update(encrypted));
}
