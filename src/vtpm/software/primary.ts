/** Primary keys: the same seed and template give the same key, always (Part 1, 14.3 and 27.6). */
import { objectName, TPM_RH, type TPMS_SENSITIVE_CREATE, type TPMT_PUBLIC } from '../../tpm/index.ts';
import { derivedStream } from './key-generation.ts';
import type { Machine } from './machine.ts';
import { createObject, loadedObject } from './object-creation.ts';
import type { LoadedObject } from './state.ts';

/**
 * As in the reference code, the Name of the template and the sensitive data decide, the authorization value does not. What
 * an endorsement key protects its children with ends with TPM2_Clear, though the key itself does not (Part 3, 24.6.1).
 *
 * @param userAuth as it is kept
 */
export function createPrimaryObject(
  machine: Machine,
  hierarchy: number,
  template: TPMT_PUBLIC,
  userAuth: Uint8Array,
  data: TPMS_SENSITIVE_CREATE['data'],
): LoadedObject {
  const { owner, endorsement } = machine.permanent;
  const primarySeed = machine.primarySeed(hierarchy);
  const name = objectName(template);
  const key = derivedStream(primarySeed, 'PRIMARY', name, data);
  const proofs = Buffer.concat([owner.proof, endorsement.proof, data]);
  const seed = hierarchy === TPM_RH.ENDORSEMENT ? derivedStream(primarySeed, 'SEED', name, proofs) : key;
  const { publicArea, sensitive } = createObject(template, userAuth, data, { key, seed });
  return loadedObject(publicArea, sensitive, { parent: undefined, hierarchy });
}
