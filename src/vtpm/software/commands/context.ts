/** Contexts: TPM 2.0 Part 3, 28. */
import { handleType, TPM_HT, TPM_RH } from '../../../tpm/index.ts';
import { openContext, sealContext } from '../context-blob.ts';
import type { Handlers } from '../handler.ts';
import { MAX_LOADED_SESSIONS, MAX_PERSISTENT } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { addTransient, requireSlot } from '../object-creation.ts';
import { refuse } from '../refusal.ts';
import { OBJECT_CONTEXT, SESSION_CONTEXT } from '../state.ts';

const isSession = (handle: number): boolean => handleType(handle) !== TPM_HT.TRANSIENT;

/** Part 2, 14.5: what a saved object's handle tells: an ordinary one, or one that Startup(CLEAR) makes unloadable. */
const SAVED_OBJECT = 0x80000000;
const SAVED_STCLEAR = 0x80000002;

/** 28.5: the owner's half of the persistent handles, and the platform's. */
const FIRST_PERSISTENT = 0x81000000;
const FIRST_PLATFORM = 0x81800000;

function saveSession(machine: Machine, handle: number) {
  const { volatile } = machine;
  const session = machine.session(handle);
  const sequence = ++volatile.sessionContextId;
  const contextBlob = sealContext(machine, TPM_RH.NULL, handle, sequence, SESSION_CONTEXT, session);
  volatile.sessions.delete(handle);
  volatile.savedSessions.set(handle, sequence);
  return { context: { sequence, savedHandle: handle, hierarchy: TPM_RH.NULL, contextBlob } };
}

export const context = {
  /** 28.2: a session leaves the TPM, an object stays too. */
  TPM2_ContextSave(machine, { saveHandle }) {
    if (isSession(saveHandle)) return saveSession(machine, saveHandle);
    const object = machine.object(saveHandle);
    const savedHandle = object.publicArea.objectAttributes.stClear ? SAVED_STCLEAR : SAVED_OBJECT;
    const sequence = ++machine.volatile.objectContextId;
    const contextBlob = sealContext(machine, object.hierarchy, savedHandle, sequence, OBJECT_CONTEXT, object);
    return { context: { sequence, savedHandle, hierarchy: object.hierarchy, contextBlob } };
  },

  /** 28.3 */
  TPM2_ContextLoad(machine, { context: saved }) {
    const { savedHandle, hierarchy, sequence } = saved;
    if (!machine.isHierarchyEnabled(hierarchy)) refuse('HIERARCHY', 'context');
    if (!isSession(savedHandle)) {
      const object = openContext(machine, saved, OBJECT_CONTEXT);
      requireSlot(machine);
      return { loadedHandle: addTransient(machine, object) };
    }
    const session = openContext(machine, saved, SESSION_CONTEXT);
    const { sessions, savedSessions } = machine.volatile;
    // A session's context loads once, and only the newest one (Part 1, 30.3)
    if (savedSessions.get(savedHandle) !== sequence) refuse('HANDLE', 'context');
    if (sessions.size >= MAX_LOADED_SESSIONS) refuse('SESSION_MEMORY');
    savedSessions.delete(savedHandle);
    sessions.set(savedHandle, { ...session });
    return { loadedHandle: savedHandle };
  },

  /** 28.4 */
  TPM2_FlushContext(machine, { flushHandle }) {
    const { transients, sequences, sessions, savedSessions } = machine.volatile;
    const isKnown = [transients, sequences, sessions, savedSessions].some((loaded) => loaded.has(flushHandle));
    if (!isKnown) refuse('HANDLE', 'flushHandle');
    machine.flush(flushHandle);
    return {};
  },

  /** 28.5 */
  TPM2_EvictControl(machine, { auth, objectHandle, persistentHandle }) {
    const object = machine.object(objectHandle);
    const isOwner = auth === TPM_RH.OWNER;
    const { persistents } = machine.permanent;
    if (object.isExternal || object.sensitive === undefined) refuse('ATTRIBUTES', 'objectHandle');
    if (object.publicArea.objectAttributes.stClear) refuse('ATTRIBUTES', 'objectHandle');
    if (object.hierarchy === TPM_RH.NULL) refuse('HIERARCHY', 'objectHandle');
    if (isOwner === (object.hierarchy === TPM_RH.PLATFORM)) refuse('HIERARCHY', 'objectHandle');
    const isOwnersRange = persistentHandle >= FIRST_PERSISTENT && persistentHandle < FIRST_PLATFORM;
    if (isOwner !== isOwnersRange) refuse('RANGE', 'persistentHandle');
    if (handleType(objectHandle) === TPM_HT.PERSISTENT) {
      if (objectHandle !== persistentHandle) refuse('HANDLE', 'objectHandle');
      persistents.delete(objectHandle);
    } else {
      if (persistents.has(persistentHandle)) refuse('NV_DEFINED');
      if (persistents.size >= MAX_PERSISTENT) refuse('NV_SPACE');
      persistents.set(persistentHandle, object);
    }
    machine.changed();
    return {};
  },
} satisfies Handlers;
