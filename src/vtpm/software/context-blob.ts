/** Saved contexts: encrypted and bound to this TPM and power cycle (Part 1, 30; Part 4, Context_spt.c). */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { bytesEqual } from '../../bytes/index.ts';
import {
  type Codec,
  decode,
  encode,
  handleName,
  KDFa,
  ProfiledReader,
  TPM2B_DIGEST,
  type TPMS_CONTEXT,
  uint32,
  uint64,
} from '../../tpm/index.ts';
import { INTEGRITY_HASH, INTEGRITY_SIZE } from './limits.ts';
import type { Machine } from './machine.ts';
import { PROFILE } from './profile.ts';
import { refuse, unmarshal } from './refusal.ts';

/** Part 2, 14.6.2: what a saved object's handle tells: an ordinary one, a sequence, or one that has stClear. */
export const SAVED_OBJECT = { ordinary: 0x80000000, sequence: 0x80000001, stClear: 0x80000002 } as const;

/** What makes a context of before a TPM Reset, or of a stClear object of before a Startup(CLEAR), unloadable. */
function epoch({ permanent, volatile }: Machine, savedHandle: number): Uint8Array {
  const resets = encode(uint64, permanent.totalResetCount);
  return savedHandle === SAVED_OBJECT.stClear ? Buffer.concat([resets, encode(uint32, volatile.clearCount)]) : resets;
}

type Place = Pick<TPMS_CONTEXT, 'hierarchy' | 'savedHandle' | 'sequence'>;

function protect(machine: Machine, { hierarchy, savedHandle, sequence }: Place) {
  const proof = machine.proof(hierarchy);
  const where = Buffer.concat([encode(uint64, sequence), handleName(savedHandle), handleName(hierarchy)]);
  const derived = KDFa(INTEGRITY_HASH, proof, 'CONTEXT', where, epoch(machine, savedHandle), 384);
  const [key, iv] = [derived.subarray(0, 32), derived.subarray(32)];
  const integrity = (encrypted: Uint8Array): Uint8Array =>
    createHmac(INTEGRITY_HASH, proof).update(epoch(machine, savedHandle)).update(where).update(encrypted).digest();
  return { key, iv, integrity };
}

export function sealContext<T>(machine: Machine, place: Place, codec: Codec<T>, value: T): TPMS_CONTEXT {
  const { key, iv, integrity } = protect(machine, place);
  const encrypted = createCipheriv('aes-256-cfb', key, iv).update(encode(codec, value));
  return { ...place, contextBlob: Buffer.concat([encode(TPM2B_DIGEST, integrity(encrypted)), encrypted]) };
}

/** @throws {Refusal} `SIZE`, or `INTEGRITY` for a context that is not this TPM's of this power cycle */
export function openContext<T>(machine: Machine, context: TPMS_CONTEXT, codec: Codec<T>): T {
  const reader = new ProfiledReader(context.contextBlob, PROFILE);
  // Its size is not counted as the parameter's: the code comes without a number
  const expected = unmarshal('contextBlob', () => TPM2B_DIGEST.read(reader));
  if (expected.length !== INTEGRITY_SIZE || reader.remaining < 8) refuse('SIZE', 'context');
  const encrypted = reader.rest();
  const { key, iv, integrity } = protect(machine, context);
  if (!bytesEqual(integrity(encrypted), expected)) refuse('INTEGRITY', 'context');
  return decode(codec, createDecipheriv('aes-256-cfb', key, iv).update(encrypted));
}
