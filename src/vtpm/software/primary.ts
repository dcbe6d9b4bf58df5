/** Primary keys: the same seed and template give the same key, always (Part 1, 14.3 and 27.6). */
import { objectName, type TPMS_SENSITIVE_CREATE, type TPMT_PUBLIC } from '../../tpm/index.ts';
import { derivedStream } from './key-generation.ts';
import type { Machine } from './machine.ts';
import { createObject, loadedObject } from './object-creation.ts';
import type { LoadedObject } from './state.ts';

/** As in the reference code, the Name of the template and the sensitive data decide, the authorization value does not. */
export function createPrimaryObject(
  machine: Machine,
  hierarchy: number,
  template: TPMT_PUBLIC,
  inSensitive: TPMS_SENSITIVE_CREATE,
): LoadedObject {
  const seed = machine.primarySeed(hierarchy);
  const random = derivedStream(seed, 'PRIMARY', objectName(template), inSensitive.data);
  const { publicArea, sensitive } = createObject(template, inSensitive, random);
  return loadedObject(publicArea, sensitive, undefined, hierarchy);
}
