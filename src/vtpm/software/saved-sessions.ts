/**
 * Contexts of sessions that are outside (Part 1, 15.6 and 30.4; Part 4, Session.c). The TPM remembers which saved context
 * of a session is the newest one, by the low 16 bits of its number; so none may fall further behind than those can tell.
 */
import { CONTEXT_GAP, MAX_LOADED_SESSIONS } from './limits.ts';
import type { Machine } from './machine.ts';

/** The first number after a TPM Reset: lower ones would look like places in memory, and are left out each time around. */
export const FIRST_CONTEXT_ID = BigInt(MAX_LOADED_SESSIONS + 1);

const lowBits = (id: bigint): bigint => id & BigInt(CONTEXT_GAP);

export function nextContextId(id: bigint): bigint {
  const next = id + 1n;
  return lowBits(next) === 0n ? next + FIRST_CONTEXT_ID : next;
}

/** Of the saved sessions the one that has been outside longest; undefined where all are here. */
export function oldestSaved({ volatile }: Machine): { readonly handle: number; readonly id: bigint } | undefined {
  let oldest: { handle: number; id: bigint } | undefined;
  for (const [handle, id] of volatile.savedSessions) {
    if (oldest === undefined || id < oldest.id) oldest = { handle, id };
  }
  return oldest;
}

/** The next context would be taken for the oldest: that one has to come back first. */
export function isContextGap(machine: Machine): boolean {
  const oldest = oldestSaved(machine);
  return oldest !== undefined && lowBits(oldest.id) === lowBits(machine.volatile.sessionContextId);
}
