/** A generator for every command that the software TPM has. */
import { attestation } from './attestation.ts';
import type { Generators } from './generator.ts';
import { nv } from './nv.ts';
import { objects } from './objects.ts';
import { platformGenerators } from './platform.ts';
import { primitives } from './primitives.ts';
import { sessions } from './sessions.ts';

export const GENERATORS: Generators = {
  ...platformGenerators,
  ...sessions,
  ...objects,
  ...primitives,
  ...attestation,
  ...nv,
};
