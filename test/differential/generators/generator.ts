/** A generator makes one command of its kind that fits what is known; undefined where nothing fits. */
import type { CommandName } from '../../../src/tpm/index.ts';
import type { Step } from '../step.ts';
import type { World } from '../world.ts';

export type Generator = (world: World) => Step | undefined;
export type Generators = { readonly [N in CommandName]?: Generator };
