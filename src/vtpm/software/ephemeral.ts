/**
 * Ephemeral keys that a TPM can make again from a count: TPM2_Commit, TPM2_EC_Ephemeral, and what uses them up (Part 1,
 * C.2.2; Part 4, CryptEccMain.c: CryptGenerateR). No key is kept, but one bit for each of the last counts.
 */
import { encode, KDFa, type TPMI_ECC_CURVE, uint64 } from '../../tpm/index.ts';
import { CURVES } from './curves.ts';
import { toBigInt } from './ecc.ts';
import { INTEGRITY_HASH, SPLIT_MAX } from './limits.ts';
import type { Machine } from './machine.ts';

const INDEX_MASK = SPLIT_MAX - 1;

/** @param name of the key that it is committed for; empty for a key of its own */
function scalarOf({ volatile }: Machine, curve: TPMI_ECC_CURVE, name: Uint8Array, count: bigint): bigint {
  const { n, size } = CURVES[curve];
  // 64 bits more than the order has: the reduction leaves no bias that matters
  const bits = (size + 8) * 8;
  const derived = KDFa(INTEGRITY_HASH, volatile.commitNonce, 'COMMIT', name, encode(uint64, count), bits);
  return (toBigInt(derived) % (n - 1n)) + 1n;
}

/** r for the next count, which {@link commit} takes. */
export function nextScalar(machine: Machine, curve: TPMI_ECC_CURVE, name: Uint8Array): bigint {
  return scalarOf(machine, curve, name, machine.volatile.commitCounter);
}

/** r of a count that is open; undefined for any other. */
export function committedScalar(
  machine: Machine,
  curve: TPMI_ECC_CURVE,
  name: Uint8Array,
  count: number,
): bigint | undefined {
  const { commitCounter } = machine.volatile;
  if (!isOpen(machine, count)) return undefined;
  const index = BigInt(count & INDEX_MASK);
  const isLater = index >= (commitCounter & BigInt(INDEX_MASK));
  const round = isLater ? commitCounter - BigInt(SPLIT_MAX) : commitCounter;
  const isSameRound = ((round ^ BigInt(count)) & 0xffffn & ~BigInt(INDEX_MASK)) === 0n;
  if (round < 0n || !isSameRound) return undefined;
  return scalarOf(machine, curve, name, (round & ~0xffffn) | BigInt(count));
}

function isOpen({ volatile }: Machine, count: number): boolean {
  const index = count & INDEX_MASK;
  return (((volatile.commitArray[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;
}

function setOpen({ volatile }: Machine, count: number, state: boolean): void {
  const index = count & INDEX_MASK;
  const array = Uint8Array.from(volatile.commitArray);
  const bit = 1 << (index & 7);
  const byte = array[index >> 3] ?? 0;
  array[index >> 3] = state ? byte | bit : byte & ~bit;
  volatile.commitArray = array;
}

/** @returns the count as callers have it: its low 16 bits */
export function commit(machine: Machine): number {
  const count = Number(machine.volatile.commitCounter & 0xffffn);
  machine.volatile.commitCounter++;
  setOpen(machine, count, true);
  return count;
}

/** Each count serves once. */
export function endCommit(machine: Machine, count: number): void {
  setOpen(machine, count, false);
}
