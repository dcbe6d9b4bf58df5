/** Contexts: TPM 2.0 Part 3, 28. */
import { handleNumber, handleType, TPM_HT, TPM_RH } from '../../../tpm/index.ts';
import { openContext, SAVED_OBJECT, sealContext } from '../context-blob.ts';
import { FIRST_PLATFORM_PERSISTENT, isObjectHandle } from '../entities.ts';
import type { Handlers } from '../handler.ts';
import { CONTEXT_GAP, MAX_LOADED_SESSIONS } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { requireObjectSpace } from '../nv-memory.ts';
import { refuse } from '../refusal.ts';
import { isContextGap, nextContextId, oldestSaved } from '../saved-sessions.ts';
import { addSequence, addTransient } from '../slots.ts';
import { type LoadedObject, OBJECT_CONTEXT, SEQUENCE_CONTEXT, SESSION_CONTEXT } from '../state.ts';

const NULL = TPM_RH.NULL;

function saveSession(machine: Machine, savedHandle: number) {
  const { volatile } = machine;
  const session = machine.session(savedHandle);
  if (isContextGap(machine)) refuse('CONTEXT_GAP');
  const sequence = volatile.sessionContextId;
  const context = sealContext(machine, { hierarchy: NULL, savedHandle, sequence }, SESSION_CONTEXT, session);
  volatile.sessionContextId = nextContextId(sequence);
  volatile.sessions.delete(savedHandle);
  volatile.savedSessions.set(savedHandle, sequence);
  return context;
}

function saveObject(machine: Machine, handle: number) {
  const { volatile } = machine;
  const sequence = ++volatile.objectContextId;
  const state = volatile.sequences.get(handle);
  if (state !== undefined) {
    const place = { hierarchy: NULL, savedHandle: SAVED_OBJECT.sequence, sequence };
    return sealContext(machine, place, SEQUENCE_CONTEXT, state);
  }
  const object = machine.object(handle);
  const savedHandle = object.isStClear ? SAVED_OBJECT.stClear : SAVED_OBJECT.ordinary;
  return sealContext(machine, { hierarchy: object.hierarchy, savedHandle, sequence }, OBJECT_CONTEXT, object);
}

/** Only the newest context of a session loads, once, and only while it can be told from older ones (Part 1, 30.3). */
function isNewest({ volatile }: Machine, savedHandle: number, sequence: bigint): boolean {
  return (
    volatile.savedSessions.get(savedHandle) === sequence &&
    volatile.sessionContextId - sequence <= BigInt(CONTEXT_GAP + 1)
  );
}

/** The last place is for the oldest saved session, where only that one could come back. */
function checkSessionSpace(machine: Machine, savedHandle: number): void {
  const free = MAX_LOADED_SESSIONS - machine.volatile.sessions.size;
  if (free === 0) refuse('SESSION_MEMORY');
  if (free === 1 && isContextGap(machine) && oldestSaved(machine)?.handle !== savedHandle) refuse('CONTEXT_GAP');
}

/** 28.5.1: temporary ones stay transient, and each hierarchy's objects go into its own part of the handles. */
function checkEvictable(auth: number, object: LoadedObject, objectHandle: number, persistentHandle: number): void {
  const isPersistent = handleType(objectHandle) === TPM_HT.PERSISTENT;
  const isTemporary = object.hierarchy === NULL || object.isExternal;
  if (isTemporary || object.isStClear || object.sensitive === undefined) refuse('ATTRIBUTES', 'objectHandle');
  if (isPersistent && objectHandle !== persistentHandle) refuse('HANDLE', 'objectHandle');
  const isByPlatform = auth === TPM_RH.PLATFORM;
  const isOfPlatform = object.hierarchy === TPM_RH.PLATFORM;
  // The platform may remove the owner's objects, too
  const isForbidden = isByPlatform ? !isPersistent && !isOfPlatform : isOfPlatform;
  if (isForbidden) refuse('HIERARCHY', 'objectHandle');
  const isPlatformRange = persistentHandle >= FIRST_PLATFORM_PERSISTENT;
  if (!isPersistent && isPlatformRange !== isByPlatform) refuse('RANGE', 'persistentHandle');
}

export const context = {
  /** 28.2: a session leaves the TPM, an object stays too. */
  TPM2_ContextSave(machine, { saveHandle }) {
    const saved = isObjectHandle(saveHandle) ? saveObject(machine, saveHandle) : saveSession(machine, saveHandle);
    machine.clearOrderly();
    return { context: saved };
  },

  /** 28.3 */
  TPM2_ContextLoad(machine, { context: saved }) {
    const { savedHandle, hierarchy, sequence } = saved;
    if (isObjectHandle(savedHandle)) {
      if (savedHandle === SAVED_OBJECT.sequence) {
        return { loadedHandle: addSequence(machine, openContext(machine, saved, SEQUENCE_CONTEXT)) };
      }
      const object = openContext(machine, saved, OBJECT_CONTEXT);
      if (!machine.isHierarchyEnabled(hierarchy)) refuse('HIERARCHY', 'context');
      return { loadedHandle: addTransient(machine, object) };
    }
    const session = openContext(machine, saved, SESSION_CONTEXT);
    if (!isNewest(machine, savedHandle, sequence)) refuse('HANDLE', 'context');
    checkSessionSpace(machine, savedHandle);
    machine.volatile.savedSessions.delete(savedHandle);
    machine.volatile.sessions.set(savedHandle, { ...session });
    machine.clearOrderly();
    return { loadedHandle: savedHandle };
  },

  /** 28.4 */
  TPM2_FlushContext(machine, { flushHandle }) {
    const { transients, sequences, sessions, savedSessions } = machine.volatile;
    if (isObjectHandle(flushHandle)) {
      if (!transients.has(flushHandle) && !sequences.has(flushHandle)) refuse('HANDLE', 'flushHandle');
      machine.flush(flushHandle);
      return {};
    }
    // A session is found by its number, whichever kind the handle says
    const number = handleNumber(flushHandle);
    const known = [...sessions.keys(), ...savedSessions.keys()].find((handle) => handleNumber(handle) === number);
    machine.flush(known ?? refuse('HANDLE', 'flushHandle'));
    return {};
  },

  /** 28.5: makes a transient object persistent, or removes a persistent one. */
  TPM2_EvictControl(machine, { auth, objectHandle, persistentHandle }) {
    const object = machine.object(objectHandle);
    checkEvictable(auth, object, objectHandle, persistentHandle);
    const { persistents } = machine.permanent;
    if (handleType(objectHandle) === TPM_HT.PERSISTENT) persistents.delete(objectHandle);
    else {
      if (persistents.has(persistentHandle)) refuse('NV_DEFINED');
      requireObjectSpace(machine);
      persistents.set(persistentHandle, object);
    }
    machine.changed();
    return {};
  },
} satisfies Handlers;
