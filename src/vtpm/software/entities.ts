/** What a handle stands for: its Name, authorization value, policy and protection (Part 4, Entity.c). */
import { type AuthRole, handleName, handleType, nvName, rcWith, TPM_HT, TPM_RC, TPM_RH } from '../../tpm/index.ts';
import { MAX_ACTIVE_SESSIONS, PCR_COUNT } from './limits.ts';
import type { Machine } from './machine.ts';
import { Refusal } from './refusal.ts';
import type { NvIndex, Policy } from './state.ts';

export interface Entity {
  readonly handle: number;
  readonly name: Uint8Array;
  readonly authValue: Uint8Array;
  readonly policy: Policy;
  /** False where a wrong authorization counts towards lockout. */
  readonly isDaExempt: boolean;
  readonly nvIndex?: NvIndex;
}

const NONE = new Uint8Array(0);
const NO_POLICY: Policy = { hashAlg: 'null', digest: NONE };

export function entity(machine: Machine, handle: number): Entity {
  const type = handleType(handle);
  if (type === TPM_HT.NV_INDEX) return nvEntity(machine.nvIndex(handle), handle);
  if (type === TPM_HT.TRANSIENT || type === TPM_HT.PERSISTENT) return objectEntity(machine, handle);
  const permanent = type === TPM_HT.PERMANENT ? permanentSecrets(machine, handle) : undefined;
  return {
    handle,
    name: handleName(handle),
    authValue: permanent?.auth ?? NONE,
    policy: permanent?.policy ?? NO_POLICY,
    isDaExempt: handle !== TPM_RH.LOCKOUT,
  };
}

function nvEntity(nvIndex: NvIndex, handle: number): Entity {
  const { publicArea, auth } = nvIndex;
  return {
    handle,
    name: nvName(publicArea),
    authValue: auth,
    policy: { hashAlg: publicArea.nameAlg, digest: publicArea.authPolicy },
    isDaExempt: publicArea.attributes.no_da === true,
    nvIndex,
  };
}

function objectEntity(machine: Machine, handle: number): Entity {
  const sequence = machine.volatile.sequences.get(handle);
  // Part 1, 32.4: a sequence has the empty Name and no policy, and its value is not guarded against guessing
  if (sequence !== undefined) {
    return { handle, name: NONE, authValue: sequence.authValue, policy: NO_POLICY, isDaExempt: true };
  }
  const { publicArea, sensitive, name } = machine.object(handle);
  return {
    handle,
    name,
    authValue: sensitive?.authValue ?? NONE,
    policy: { hashAlg: publicArea.nameAlg, digest: publicArea.authPolicy },
    isDaExempt: publicArea.objectAttributes.noDA === true,
  };
}

function permanentSecrets(machine: Machine, handle: number): { auth: Uint8Array; policy: Policy } {
  const { permanent, volatile } = machine;
  switch (handle) {
    case TPM_RH.OWNER:
      return permanent.owner;
    case TPM_RH.ENDORSEMENT:
      return permanent.endorsement;
    case TPM_RH.PLATFORM:
      return { auth: volatile.platformAuth, policy: volatile.platformPolicy };
    case TPM_RH.LOCKOUT:
      return { auth: permanent.lockoutAuth, policy: permanent.lockoutPolicy };
    default:
      return { auth: NONE, policy: NO_POLICY };
  }
}

/** @throws {Refusal} where handle number `position` (from 0) names nothing that is there and enabled (Part 3, 5.4) */
export function checkLoaded(machine: Machine, handle: number, position: number): void {
  const { permanent, volatile } = machine;
  const atHandle = (rc: number): Refusal => new Refusal(rcWith(rc, { kind: 'handle', number: position + 1 }));
  switch (handleType(handle)) {
    case TPM_HT.TRANSIENT:
      if (!volatile.transients.has(handle) && !volatile.sequences.has(handle))
        throw new Refusal(TPM_RC.REFERENCE_H0 + position);
      return;
    case TPM_HT.PERSISTENT: {
      const object = permanent.persistents.get(handle);
      if (object === undefined) throw atHandle(TPM_RC.HANDLE);
      if (!machine.isHierarchyEnabled(object.hierarchy)) throw atHandle(TPM_RC.HIERARCHY);
      return;
    }
    case TPM_HT.NV_INDEX: {
      const index = permanent.nvIndices.get(handle);
      if (index === undefined) throw atHandle(TPM_RC.HANDLE);
      const { platformcreate } = index.publicArea.attributes;
      const isVisible = platformcreate ? volatile.isPlatformNvEnabled : volatile.isStorageEnabled;
      if (!isVisible) throw atHandle(TPM_RC.HANDLE);
      return;
    }
    case TPM_HT.HMAC_SESSION:
    case TPM_HT.POLICY_SESSION: {
      if (volatile.sessions.has(handle)) return;
      if (volatile.savedSessions.has(handle) || (handle & 0xffffff) < MAX_ACTIVE_SESSIONS) {
        throw new Refusal(TPM_RC.REFERENCE_H0 + position);
      }
      throw atHandle(TPM_RC.HANDLE);
    }
    case TPM_HT.PCR:
      if (handle >= PCR_COUNT) throw atHandle(TPM_RC.VALUE);
      return;
    default:
      if (!machine.isHierarchyEnabled(handle)) throw atHandle(TPM_RC.HIERARCHY);
  }
}

/** NV commands that read, and that write (Part 4, IsReadOperation and IsWriteOperation). */
const NV_READS: ReadonlySet<string> = new Set(['TPM2_NV_Read', 'TPM2_NV_ReadLock', 'TPM2_PolicyNV', 'TPM2_NV_Certify']);
const NV_WRITES: ReadonlySet<string> = new Set([
  'TPM2_NV_Write',
  'TPM2_NV_Increment',
  'TPM2_NV_Extend',
  'TPM2_NV_SetBits',
  'TPM2_NV_WriteLock',
]);

/** Whether the authorization value may authorize this role (Part 4, IsAuthValueAvailable). */
export function isAuthValueAvailable(machine: Machine, subject: Entity, role: AuthRole, commandName: string): boolean {
  const type = handleType(subject.handle);
  if (subject.nvIndex !== undefined) {
    const { authread, authwrite } = subject.nvIndex.publicArea.attributes;
    if (role !== 'user') return false;
    return NV_WRITES.has(commandName) ? authwrite === true : authread === true;
  }
  if (type !== TPM_HT.TRANSIENT && type !== TPM_HT.PERSISTENT) return true;
  if (machine.volatile.sequences.has(subject.handle)) return role === 'user';
  const { publicArea, sensitive } = machine.object(subject.handle);
  if (sensitive === undefined || role === 'dup') return false;
  const { userWithAuth, adminWithPolicy } = publicArea.objectAttributes;
  return role === 'user' ? userWithAuth === true : adminWithPolicy !== true;
}

/** Whether a policy session may authorize this role (Part 4, IsAuthPolicyAvailable). */
export function isPolicyAvailable(machine: Machine, subject: Entity, role: AuthRole, commandName: string): boolean {
  const type = handleType(subject.handle);
  if (subject.nvIndex !== undefined) {
    const { policyread, policywrite } = subject.nvIndex.publicArea.attributes;
    if (role !== 'user') return true;
    if (NV_WRITES.has(commandName)) return policywrite === true;
    return NV_READS.has(commandName) ? policyread === true : true;
  }
  if (type === TPM_HT.TRANSIENT || type === TPM_HT.PERSISTENT) {
    if (machine.volatile.sequences.has(subject.handle)) return false;
    return machine.object(subject.handle).sensitive !== undefined;
  }
  return subject.policy.digest.length > 0;
}
