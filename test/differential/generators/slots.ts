/** Room for what comes next. */
import { TPM2_FlushContext } from '../../../src/tpm/index.ts';
import type { Step } from '../step.ts';
import type { World } from '../world.ts';

export function flush(world: World, flushHandle: number): Step {
  return world.step(TPM2_FlushContext, { flushHandle }, { learn: () => world.forget(flushHandle) });
}

export function flushSession(world: World): Step {
  return flush(world, world.random.pick(world.sessions)?.handle ?? 0x02000000);
}

/** Room for one more object, or the attempt without it. */
export function withSlot(world: World, make: () => Step | undefined): Step | undefined {
  if (world.freeSlots > 0 || world.random.chance(0.04)) return make();
  const handle = world.random.pick([...world.objects, ...world.sequences])?.handle;
  return handle === undefined ? make() : flush(world, handle);
}
