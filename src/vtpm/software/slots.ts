/** Places for transient objects and sequences, which persistent objects take too while a command uses them. */
import { TPM_HT } from '../../tpm/index.ts';
import { MAX_TRANSIENT } from './limits.ts';
import type { Machine } from './machine.ts';
import { refuse } from './refusal.ts';
import type { Sequence } from './sequence.ts';
import type { LoadedObject } from './state.ts';

/** The first free one, as a transient handle. @throws {Refusal} `OBJECT_MEMORY` */
function freeSlot({ volatile, evicted }: Machine): number {
  for (let slot = 0; slot < MAX_TRANSIENT; slot++) {
    const handle = ((TPM_HT.TRANSIENT << 24) | slot) >>> 0;
    if (!volatile.transients.has(handle) && !volatile.sequences.has(handle) && !evicted.has(handle)) return handle;
  }
  return refuse('OBJECT_MEMORY');
}

/** @throws {Refusal} `OBJECT_MEMORY` where no place is free */
export function requireSlot(machine: Machine): void {
  freeSlot(machine);
}

export function addTransient(machine: Machine, object: LoadedObject): number {
  const handle = freeSlot(machine);
  machine.volatile.transients.set(handle, object);
  return handle;
}

export function addSequence(machine: Machine, sequence: Sequence): number {
  const handle = freeSlot(machine);
  machine.volatile.sequences.set(handle, sequence);
  return handle;
}

/** For the command in hand: the engine gives the place back after it. */
export function addEvicted(machine: Machine): void {
  machine.evicted.add(freeSlot(machine));
}
