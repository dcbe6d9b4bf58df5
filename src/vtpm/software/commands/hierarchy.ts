/** Hierarchies: TPM 2.0 Part 3, 24. */
import { digestInfo } from '../../../bytes/index.ts';
import { TPM_RH, trimAuth } from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import { INTEGRITY_HASH, isImplementedHash } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { addTransient, checkPublic, checkSensitiveOrigin, creationFacts, requireSlot } from '../object-creation.ts';
import { createPrimaryObject } from '../primary.ts';
import { refuse } from '../refusal.ts';

const NONE = new Uint8Array(0);

/** Digest size of CONTEXT_INTEGRITY_HASH_ALG: the most that a hierarchy's authorization value may have. */
const MAX_AUTH = { sha512: 64 }[INTEGRITY_HASH];

function flushHierarchy(machine: Machine, hierarchy: number): void {
  for (const [handle, { hierarchy: own }] of machine.volatile.transients) {
    if (own === hierarchy) machine.flush(handle);
  }
}

function setEnabled(machine: Machine, hierarchy: number, state: boolean): void {
  const { volatile } = machine;
  if (hierarchy === TPM_RH.OWNER) volatile.isStorageEnabled = state;
  else if (hierarchy === TPM_RH.ENDORSEMENT) volatile.isEndorsementEnabled = state;
  else if (hierarchy === TPM_RH.PLATFORM) volatile.isPlatformEnabled = state;
  else volatile.isPlatformNvEnabled = state;
  if (!state) flushHierarchy(machine, hierarchy);
  machine.changed();
}

export const hierarchy = {
  /** 24.1 */
  TPM2_CreatePrimary(machine, { primaryHandle, inSensitive, inPublic, outsideInfo, creationPCR }, { locality }) {
    requireSlot(machine);
    checkSensitiveOrigin(inPublic, inSensitive);
    checkPublic(inPublic, undefined, 'create', 'inPublic');
    const created = createPrimaryObject(machine, primaryHandle, inPublic, inSensitive);
    const facts = creationFacts(machine, created, undefined, { outsideInfo, creationPCR, locality });
    return {
      objectHandle: addTransient(machine, created),
      outPublic: created.publicArea,
      ...facts,
      name: created.name,
    };
  },

  /** 24.2: only the platform enables; each hierarchy may disable itself. */
  TPM2_HierarchyControl(machine, { authHandle, enable, state }) {
    const isPlatform = authHandle === TPM_RH.PLATFORM;
    const isOwn = authHandle === enable;
    if (!isPlatform && (state || !isOwn)) refuse('AUTH_TYPE');
    if (enable === TPM_RH.PLATFORM && state) refuse('AUTH_TYPE');
    setEnabled(machine, enable, state);
    return {};
  },

  /** 24.3: an empty digest, with no algorithm, takes the policy away. */
  TPM2_SetPrimaryPolicy(machine, { authHandle, authPolicy, hashAlg }) {
    if (hashAlg !== 'null' && !isImplementedHash(hashAlg)) refuse('HASH', 'hashAlg');
    const size = hashAlg === 'null' ? 0 : digestInfo(hashAlg).size;
    if (authPolicy.length !== size) refuse('SIZE', 'authPolicy');
    const policy = { hashAlg, digest: authPolicy };
    if (authHandle === TPM_RH.OWNER) machine.permanent.owner.policy = policy;
    else if (authHandle === TPM_RH.ENDORSEMENT) machine.permanent.endorsement.policy = policy;
    else if (authHandle === TPM_RH.PLATFORM) machine.volatile.platformPolicy = policy;
    else machine.permanent.lockoutPolicy = policy;
    machine.changed();
    return {};
  },

  /** 24.6: a new storage seed and new proofs; what the owner made is gone, the endorsement keys stay. */
  TPM2_Clear(machine) {
    const { permanent } = machine;
    if (permanent.isClearDisabled) refuse('DISABLED');
    const none = { hashAlg: 'null', digest: NONE } as const;
    permanent.owner = { seed: machine.random(64), proof: machine.random(64), auth: NONE, policy: none };
    permanent.endorsement = { ...permanent.endorsement, proof: machine.random(64), auth: NONE, policy: none };
    permanent.lockoutAuth = NONE;
    permanent.lockoutPolicy = none;
    for (const [handle, { hierarchy: own }] of permanent.persistents) {
      if (own !== TPM_RH.PLATFORM) permanent.persistents.delete(handle);
    }
    for (const [handle, { publicArea }] of permanent.nvIndices) {
      if (!publicArea.attributes.platformcreate) permanent.nvIndices.delete(handle);
    }
    flushHierarchy(machine, TPM_RH.OWNER);
    flushHierarchy(machine, TPM_RH.ENDORSEMENT);
    const { dictionaryAttack: da } = permanent;
    da.failedTries = 0;
    da.isLockoutAuthEnabled = true;
    machine.volatile.isStorageEnabled = true;
    machine.volatile.isEndorsementEnabled = true;
    machine.setClock(0n);
    permanent.resetCount = 0;
    machine.volatile.restartCount = 0;
    machine.volatile.isClockSafe = true;
    machine.volatile.pcrUpdateCounter++;
    machine.changed();
    return {};
  },

  /** 24.7 */
  TPM2_ClearControl(machine, { auth, disable }) {
    if (auth === TPM_RH.LOCKOUT && !disable) refuse('AUTH_FAIL');
    machine.permanent.isClearDisabled = disable;
    machine.changed();
    return {};
  },

  /** 24.8 */
  TPM2_HierarchyChangeAuth(machine, { authHandle, newAuth }) {
    const auth = trimAuth(newAuth);
    if (auth.length > MAX_AUTH) refuse('SIZE', 'newAuth');
    if (authHandle === TPM_RH.OWNER) machine.permanent.owner.auth = auth;
    else if (authHandle === TPM_RH.ENDORSEMENT) machine.permanent.endorsement.auth = auth;
    else if (authHandle === TPM_RH.PLATFORM) machine.volatile.platformAuth = auth;
    else machine.permanent.lockoutAuth = auth;
    machine.changed();
    return {};
  },
} satisfies Handlers;
