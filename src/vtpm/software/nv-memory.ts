/**
 * How much fits into NV memory (Part 4, NVDynamic.c: NvTestSpace). Indices and persistent objects share it, and room is
 * kept for the objects and counters that the PC Client profile promises. The sizes are those of libtpms, so that both are
 * full at the same time.
 */
import { TPM_NT } from '../../tpm/index.ts';
import type { Machine } from './machine.ts';
import { refuse } from './refusal.ts';
import type { NvIndex } from './state.ts';

/** An object, its handle and the entry's size. */
const OBJECT_ENTRY = 2608;
/** What an index takes beside its data. */
const INDEX_ENTRY = 152;
const COUNTER_ENTRY = INDEX_ENTRY + 8;
const LIST_END = 12;
export const MIN_PERSISTENT = 7;
const MIN_COUNTERS = 8;
/** Of 128 KiB and some, without what is reserved. */
const USER_MEMORY = 171_200;

/** Orderly indices live in memory that is written at shutdown. */
const ORDERLY_MEMORY = 512;
const ORDERLY_ENTRY = 12;

function isCounter({ publicArea }: Pick<NvIndex, 'publicArea'>): boolean {
  return publicArea.attributes.nt === TPM_NT.COUNTER;
}

export function counterCount({ permanent }: Machine): number {
  return [...permanent.nvIndices.values()].filter(isCounter).length;
}

/** Data of an orderly index is in the other memory. */
function entrySize({ publicArea }: Pick<NvIndex, 'publicArea'>): number {
  return INDEX_ENTRY + (publicArea.attributes.orderly ? 0 : publicArea.dataSize);
}

function freeMemory({ permanent }: Machine): number {
  const indices = [...permanent.nvIndices.values()].reduce((sum, index) => sum + entrySize(index), 0);
  return USER_MEMORY - indices - permanent.persistents.size * OBJECT_ENTRY;
}

function freeOrderlyMemory({ permanent }: Machine): number {
  const orderly = [...permanent.nvIndices.values()].filter(({ publicArea }) => publicArea.attributes.orderly);
  return ORDERLY_MEMORY - orderly.reduce((sum, { publicArea }) => sum + ORDERLY_ENTRY + publicArea.dataSize, 0);
}

const reservedForObjects = ({ permanent }: Machine): number =>
  Math.max(0, MIN_PERSISTENT - permanent.persistents.size) * OBJECT_ENTRY;

const reservedForCounters = (machine: Machine): number =>
  Math.max(0, MIN_COUNTERS - counterCount(machine)) * COUNTER_ENTRY;

/** @throws {Refusal} `NV_SPACE` where there is no room for this index */
export function requireIndexSpace(machine: Machine, index: Pick<NvIndex, 'publicArea'>): void {
  const reserved = LIST_END + reservedForObjects(machine) + (isCounter(index) ? 0 : reservedForCounters(machine));
  if (entrySize(index) + reserved > freeMemory(machine)) refuse('NV_SPACE');
  const { attributes, dataSize } = index.publicArea;
  if (attributes.orderly && ORDERLY_ENTRY + dataSize > freeOrderlyMemory(machine)) refuse('NV_SPACE');
}

/** @throws {Refusal} `NV_SPACE` where there is no room for one more persistent object */
export function requireObjectSpace(machine: Machine): void {
  const reserved = LIST_END + reservedForCounters(machine);
  if (OBJECT_ENTRY + reserved > freeMemory(machine)) refuse('NV_SPACE');
}

/** The end of the list is reserved along with what else is (libtpms does not count it where nothing is). */
function unreserved(machine: Machine, reserved: number): number {
  return freeMemory(machine) - (reserved > 0 ? reserved + LIST_END : 0);
}

/** TPM_PT.HR_PERSISTENT_AVAIL. */
export function persistentAvailable(machine: Machine): number {
  return Math.max(0, Math.floor(unreserved(machine, reservedForCounters(machine)) / OBJECT_ENTRY));
}

/** TPM_PT.NV_COUNTERS_AVAIL: the least of what NV memory and the orderly memory hold. */
export function countersAvailable(machine: Machine): number {
  const inMemory = Math.floor(unreserved(machine, reservedForObjects(machine)) / COUNTER_ENTRY);
  return Math.max(0, Math.min(inMemory, Math.floor(freeOrderlyMemory(machine) / (ORDERLY_ENTRY + 8))));
}
