/** Hierarchies: TPM 2.0 Part 3, 24. */
import { digestInfo } from '../../../bytes/index.ts';
import { TPM_RH, trimAuth } from '../../../tpm/index.ts';
import { presetDictionaryAttack } from '../dictionary-attack.ts';
import type { Handlers } from '../handler.ts';
import { INTEGRITY_SIZE, SECRET_SIZE } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { removeIndex } from '../nv-access.ts';
import { creationFacts, keptAuth } from '../object-creation.ts';
import { pcrChanged } from '../pcr-banks.ts';
import { createPrimaryObject } from '../primary.ts';
import { checkCreation } from '../public-checks.ts';
import { refuse } from '../refusal.ts';
import { addTransient, requireSlot } from '../slots.ts';

const NONE = new Uint8Array(0);
const NO_POLICY = { hashAlg: 'null', digest: NONE } as const;

const { OWNER, ENDORSEMENT, PLATFORM, PLATFORM_NV } = TPM_RH;

/** Transient objects only: persistent ones wait for the hierarchy to come back. */
function flushHierarchy(machine: Machine, hierarchy: number): void {
  for (const [handle, { hierarchy: own }] of machine.volatile.transients) {
    if (own === hierarchy) machine.flush(handle);
  }
}

/** What was made under a seed that is gone. */
function removeHierarchy(machine: Machine, hierarchy: number): void {
  flushHierarchy(machine, hierarchy);
  const { persistents, nvIndices } = machine.permanent;
  for (const [handle, { hierarchy: own }] of persistents) if (own === hierarchy) persistents.delete(handle);
  if (hierarchy !== OWNER) return;
  for (const index of nvIndices.values()) {
    if (!index.publicArea.attributes.platformcreate) removeIndex(machine, index);
  }
}

function isEnabled({ volatile }: Machine, enable: number): boolean {
  if (enable === OWNER) return volatile.isStorageEnabled;
  if (enable === ENDORSEMENT) return volatile.isEndorsementEnabled;
  return enable === PLATFORM ? volatile.isPlatformEnabled : volatile.isPlatformNvEnabled;
}

function setEnabled(machine: Machine, enable: number, state: boolean): void {
  const { volatile } = machine;
  if (enable === OWNER) volatile.isStorageEnabled = state;
  else if (enable === ENDORSEMENT) volatile.isEndorsementEnabled = state;
  else if (enable === PLATFORM) volatile.isPlatformEnabled = state;
  else volatile.isPlatformNvEnabled = state;
  if (!state && enable !== PLATFORM_NV) flushHierarchy(machine, enable);
}

export const hierarchy = {
  /** 24.1 */
  TPM2_CreatePrimary(machine, { primaryHandle, inSensitive, inPublic, outsideInfo, creationPCR }, { locality }) {
    requireSlot(machine);
    checkCreation(undefined, inPublic, inSensitive.data.length, 'inPublic');
    const userAuth = keptAuth(inSensitive.userAuth, inPublic.nameAlg, 'inSensitive');
    const created = createPrimaryObject(machine, primaryHandle, inPublic, userAuth, inSensitive.data);
    const facts = creationFacts(machine, created, undefined, { outsideInfo, creationPCR, locality });
    return {
      objectHandle: addTransient(machine, created),
      outPublic: created.publicArea,
      ...facts,
      name: created.name,
    };
  },

  /** 24.2: each hierarchy may disable itself; to enable takes the platform. */
  TPM2_HierarchyControl(machine, { authHandle, enable, state }) {
    const isByPlatform = authHandle === PLATFORM;
    if (!isByPlatform && authHandle !== enable) refuse('AUTH_TYPE');
    if (!isByPlatform && state && !isEnabled(machine, enable)) refuse('AUTH_TYPE');
    if (isEnabled(machine, enable) === state) return {};
    setEnabled(machine, enable, state);
    machine.clearOrderly();
    machine.changed();
    return {};
  },

  /** 24.3: an empty digest, with no algorithm, takes the policy away. */
  TPM2_SetPrimaryPolicy(machine, { authHandle, authPolicy, hashAlg }) {
    const size = hashAlg === 'null' ? 0 : digestInfo(hashAlg).size;
    if (authPolicy.length !== size) refuse('SIZE', 'authPolicy');
    const policy = { hashAlg, digest: authPolicy };
    if (authHandle === OWNER) machine.permanent.owner.policy = policy;
    else if (authHandle === ENDORSEMENT) machine.permanent.endorsement.policy = policy;
    else if (authHandle === PLATFORM) {
      machine.volatile.platformPolicy = policy;
      machine.clearOrderly();
    } else machine.permanent.lockoutPolicy = policy;
    machine.changed();
    return {};
  },

  /** 24.4 */
  TPM2_ChangePPS(machine) {
    const { permanent, volatile } = machine;
    permanent.platformSeed = machine.random(SECRET_SIZE);
    permanent.platformProof = machine.random(SECRET_SIZE);
    volatile.platformPolicy = NO_POLICY;
    permanent.pcrPolicy = NO_POLICY;
    removeHierarchy(machine, PLATFORM);
    machine.clearOrderly();
    machine.changed();
    return {};
  },

  /** 24.5 */
  TPM2_ChangeEPS(machine) {
    const [seed, proof] = [machine.random(SECRET_SIZE), machine.random(SECRET_SIZE)];
    machine.permanent.endorsement = { seed, proof, auth: NONE, policy: NO_POLICY };
    machine.volatile.isEndorsementEnabled = true;
    removeHierarchy(machine, ENDORSEMENT);
    machine.clearOrderly();
    machine.changed();
    return {};
  },

  /** 24.6: a new storage seed and new proofs; what the owner made is gone, the endorsement keys stay. */
  TPM2_Clear(machine) {
    const { permanent, volatile } = machine;
    if (permanent.isClearDisabled) refuse('DISABLED');
    const secret = () => machine.random(SECRET_SIZE);
    permanent.owner = { seed: secret(), proof: secret(), auth: NONE, policy: NO_POLICY };
    permanent.endorsement = { ...permanent.endorsement, proof: secret(), auth: NONE, policy: NO_POLICY };
    permanent.lockoutAuth = NONE;
    permanent.lockoutPolicy = NO_POLICY;
    removeHierarchy(machine, OWNER);
    removeHierarchy(machine, ENDORSEMENT);
    presetDictionaryAttack(machine);
    volatile.isStorageEnabled = true;
    volatile.isEndorsementEnabled = true;
    permanent.clock = 0n;
    volatile.clockSafeFrom = 0n;
    permanent.resetCount = 0;
    volatile.restartCount = 0;
    volatile.clearCount = 0;
    permanent.auditCounter = 0n;
    volatile.pcrAuth = NONE;
    pcrChanged(machine, 0);
    machine.clearOrderly();
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

  /** 24.8: as long as the digest of CONTEXT_INTEGRITY_HASH_ALG at most. */
  TPM2_HierarchyChangeAuth(machine, { authHandle, newAuth }) {
    const auth = trimAuth(newAuth);
    if (auth.length > INTEGRITY_SIZE) refuse('SIZE', 'newAuth');
    if (authHandle === OWNER) machine.permanent.owner.auth = auth;
    else if (authHandle === ENDORSEMENT) machine.permanent.endorsement.auth = auth;
    else if (authHandle === PLATFORM) {
      machine.volatile.platformAuth = auth;
      machine.clearOrderly();
    } else machine.permanent.lockoutAuth = auth;
    machine.changed();
    return {};
  },
} satisfies Handlers;
