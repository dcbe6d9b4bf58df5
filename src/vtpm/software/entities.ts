/** What a handle stands for: its Name, authorization value, policy and protection (Part 4, Entity.c and Hierarchy.c). */
import {
  type AnyCommand,
  handleName,
  handleNumber,
  handleType,
  nvName,
  rcWith,
  TPM_HT,
  TPM_RC,
  TPM_RH,
} from '../../tpm/index.ts';
import type { Machine } from './machine.ts';
import { isInGroup } from './pcr-banks.ts';
import { Refusal, refuse } from './refusal.ts';
import { addEvicted } from './slots.ts';
import type { NvIndex, Policy, Session } from './state.ts';

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

/** From here on persistent handles are the platform's (Part 2, 7.5: PLATFORM_PERSISTENT). */
export const FIRST_PLATFORM_PERSISTENT = 0x81800000;

const PERMANENT: readonly number[] = Object.values(TPM_RH);

export function isObjectHandle(handle: number): boolean {
  const type = handleType(handle);
  return type === TPM_HT.TRANSIENT || type === TPM_HT.PERSISTENT;
}

export function entity(machine: Machine, handle: number): Entity {
  const type = handleType(handle);
  if (type === TPM_HT.NV_INDEX) return nvEntity(machine.nvIndex(handle), handle);
  if (isObjectHandle(handle)) return objectEntity(machine, handle);
  const { auth, policy } = secretsOf(machine, handle);
  return { handle, name: handleName(handle), authValue: auth, policy, isDaExempt: handle !== TPM_RH.LOCKOUT };
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

function secretsOf(machine: Machine, handle: number): { auth: Uint8Array; policy: Policy } {
  const { permanent, volatile } = machine;
  if (handleType(handle) === TPM_HT.PCR && isInGroup(handle)) {
    return { auth: volatile.pcrAuth, policy: permanent.pcrPolicy };
  }
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

/** Part 4, EntityGetHierarchy: whose proof binds a ticket about this entity. */
export function hierarchyOf(machine: Machine, handle: number): number {
  if (isObjectHandle(handle)) return machine.object(handle).hierarchy;
  if (handleType(handle) === TPM_HT.NV_INDEX) {
    return machine.nvIndex(handle).publicArea.attributes.platformcreate ? TPM_RH.PLATFORM : TPM_RH.OWNER;
  }
  const own: readonly number[] = [TPM_RH.PLATFORM, TPM_RH.ENDORSEMENT, TPM_RH.NULL];
  return own.includes(handle) ? handle : TPM_RH.OWNER;
}

/**
 * Part 3, 5.4: every handle names something that is there and enabled. A persistent object takes a place among the
 * transient ones for the length of the command.
 *
 * @throws {Refusal} with the handle's number
 */
export function loadEntities(machine: Machine, command: AnyCommand, handles: readonly number[]): void {
  for (const [position, handle] of handles.entries()) {
    try {
      loadEntity(machine, command, handle);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const isReference = error.rc === TPM_RC.REFERENCE_H0;
      throw new Refusal(isReference ? error.rc + position : rcWith(error.rc, { kind: 'handle', number: position + 1 }));
    }
  }
}

function loadEntity(machine: Machine, command: AnyCommand, handle: number): void {
  const { volatile } = machine;
  switch (handleType(handle)) {
    case TPM_HT.TRANSIENT:
      if (!volatile.transients.has(handle) && !volatile.sequences.has(handle)) refuse('REFERENCE_H0');
      return;
    case TPM_HT.PERSISTENT:
      loadPersistent(machine, command, handle);
      return;
    case TPM_HT.NV_INDEX:
      checkIndex(machine, handle);
      return;
    case TPM_HT.HMAC_SESSION:
    case TPM_HT.POLICY_SESSION:
      if (sessionInSlot(machine, handle) === undefined) refuse('REFERENCE_H0');
      if (!volatile.sessions.has(handle)) refuse('HANDLE');
      return;
    case TPM_HT.PCR:
      return;
    default:
      // Authorizations of a maker's own, of which there are none
      if (!PERMANENT.includes(handle)) refuse('VALUE');
      if (!machine.isHierarchyEnabled(handle)) refuse('HIERARCHY');
  }
}

/** A session is found by its number; whether it is one for HMACs or policies, its handle tells besides. */
export function sessionInSlot({ volatile }: Machine, handle: number): Session | undefined {
  const number = handleNumber(handle);
  return [...volatile.sessions.values()].find((session) => handleNumber(session.handle) === number);
}

function loadPersistent(machine: Machine, command: AnyCommand, handle: number): void {
  const { isPlatformEnabled, isStorageEnabled, isEndorsementEnabled } = machine.volatile;
  const isEnabled = handle >= FIRST_PLATFORM_PERSISTENT ? isPlatformEnabled : isStorageEnabled;
  if (!isEnabled) refuse('HANDLE');
  addEvicted(machine);
  const object = machine.permanent.persistents.get(handle) ?? refuse('HANDLE');
  // An object whose hierarchy is off may still be removed
  const isUsable = object.hierarchy !== TPM_RH.ENDORSEMENT || isEndorsementEnabled;
  if (!isUsable && command.name !== 'TPM2_EvictControl') refuse('HANDLE');
}

/** Part 4, NvIndexIsAccessible. */
function checkIndex(machine: Machine, handle: number): void {
  const { publicArea } = machine.nvIndex(handle);
  const { isPlatformNvEnabled, isStorageEnabled } = machine.volatile;
  if (!(publicArea.attributes.platformcreate ? isPlatformNvEnabled : isStorageEnabled)) refuse('HANDLE');
}
