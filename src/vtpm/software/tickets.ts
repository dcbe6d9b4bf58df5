/** Tickets: a TPM's notes to itself (Part 2, 10.7; Part 4, Ticket.c). */
import { createHmac } from 'node:crypto';
import { bytesEqual } from '../../bytes/index.ts';
import {
  encode,
  TPM_ALG,
  TPM_RH,
  TPM_ST,
  TPM2B_DIGEST,
  type TPMI_ALG_HASH,
  type TPMT_TK_AUTH,
  type TPMT_TK_CREATION,
  type TPMT_TK_HASHCHECK,
  type TPMT_TK_VERIFIED,
  uint16,
  uint32,
  uint64,
} from '../../tpm/index.ts';
import { INTEGRITY_HASH } from './limits.ts';
import type { Machine } from './machine.ts';

const NONE = new Uint8Array(0);

function ticketDigest(machine: Machine, hierarchy: number, tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac(INTEGRITY_HASH, machine.proof(hierarchy)).update(encode(uint16, tag));
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** So that what is empty in one place cannot be taken from the next. */
function sized(part: Uint8Array): Uint8Array {
  return encode(TPM2B_DIGEST, part);
}

/** The null hierarchy vouches for nothing: its tickets are empty (Part 2, 10.7.1). */
function orEmpty(hierarchy: number, digest: () => Uint8Array): Uint8Array {
  return hierarchy === TPM_RH.NULL ? NONE : digest();
}

export function creationTicket(
  machine: Machine,
  hierarchy: number,
  name: Uint8Array,
  creationHash: Uint8Array,
): TPMT_TK_CREATION {
  return { tag: 'creation', hierarchy, digest: ticketDigest(machine, hierarchy, TPM_ST.CREATION, name, creationHash) };
}

export function verifiedTicket(
  machine: Machine,
  hierarchy: number,
  digest: Uint8Array,
  keyName: Uint8Array,
): TPMT_TK_VERIFIED {
  return {
    tag: 'verified',
    hierarchy,
    digest: orEmpty(hierarchy, () => ticketDigest(machine, hierarchy, TPM_ST.VERIFIED, digest, keyName)),
  };
}

export function hashTicket(
  machine: Machine,
  hierarchy: number,
  hashAlg: TPMI_ALG_HASH,
  digest: Uint8Array,
): TPMT_TK_HASHCHECK {
  const alg = encode(uint16, TPM_ALG[hashAlg]);
  return {
    tag: 'hashcheck',
    hierarchy,
    digest: orEmpty(hierarchy, () => ticketDigest(machine, hierarchy, TPM_ST.HASHCHECK, alg, digest)),
  };
}

export interface AuthorizationFacts {
  /** TPM time; 0 for never. */
  readonly timeout: bigint;
  readonly expiresOnReset: boolean;
  readonly cpHash: Uint8Array;
  readonly policyRef: Uint8Array;
  readonly entityName: Uint8Array;
}

/** A time-out is in TPM time: a ticket with one is good for one run of it (Part 4, TicketComputeAuth). */
export function authTicket(
  machine: Machine,
  tag: TPMT_TK_AUTH['tag'],
  hierarchy: number,
  facts: AuthorizationFacts,
): TPMT_TK_AUTH {
  const { timeout, expiresOnReset, cpHash, policyRef, entityName } = facts;
  const st = tag === 'auth_signed' ? TPM_ST.AUTH_SIGNED : TPM_ST.AUTH_SECRET;
  const { timeEpoch, totalResetCount } = machine.permanent;
  const epoch = timeout === 0n ? [] : [encode(uint32, timeEpoch)];
  const reset = timeout !== 0n && expiresOnReset ? [encode(uint64, totalResetCount)] : [];
  const parts = [encode(uint64, timeout), ...epoch, ...reset, sized(cpHash), sized(policyRef), entityName];
  return { tag, hierarchy, digest: ticketDigest(machine, hierarchy, st, ...parts) };
}

/** Tickets are equal where hierarchy and digest are; an empty ticket proves nothing. */
export function isSameTicket(
  a: { hierarchy: number; digest: Uint8Array },
  b: { hierarchy: number; digest: Uint8Array },
): boolean {
  return a.hierarchy === b.hierarchy && a.digest.length > 0 && bytesEqual(a.digest, b.digest);
}
