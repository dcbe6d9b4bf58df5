/** Start-up and self-test: TPM 2.0 Part 3, 9 and 10. */
import type { Handlers } from '../handler.ts';
import type { Machine } from '../machine.ts';
import { isDynamic, pcrAttributes, startBanks } from '../pcr-banks.ts';
import { refuse } from '../refusal.ts';
import { closeVolatile, openVolatile, type Volatile } from '../state.ts';

/** PCR 0 tells the locality of a Startup(CLEAR) at locality 3 (9.3.3, PC Client profile). */
function markStartupLocality(volatile: Volatile, locality: number): void {
  if (locality !== 3) return;
  for (const digests of volatile.banks.values()) {
    const pcr0 = digests[0];
    if (pcr0 !== undefined) pcr0[pcr0.length - 1] = locality;
  }
}

/** 9.3: a TPM Reset, or a TPM Restart where TPM2_Shutdown(STATE) came before. */
function startClear(machine: Machine, isRestart: boolean, locality: number): void {
  const { permanent, volatile } = machine;
  const saved = isRestart ? permanent.savedState : undefined;
  const kept = saved === undefined ? undefined : openVolatile(saved);
  machine.volatile = {
    ...volatile,
    isStarted: true,
    banks: startBanks(permanent.pcrAllocation),
    pcrUpdateCounter: (kept?.pcrUpdateCounter ?? 0) + 1,
    platformAuth: new Uint8Array(),
    platformPolicy: { hashAlg: 'null', digest: new Uint8Array() },
    isPlatformEnabled: true,
    isStorageEnabled: true,
    isEndorsementEnabled: true,
    isPlatformNvEnabled: true,
    nullSeed: kept?.nullSeed ?? machine.random(64),
    nullProof: kept?.nullProof ?? machine.random(64),
    restartCount: kept === undefined ? 0 : kept.restartCount + 1,
    clearCount: kept === undefined ? 0 : kept.clearCount + 1,
    objectContextId: kept?.objectContextId ?? 0n,
    sessionContextId: kept?.sessionContextId ?? 0n,
    sessions: new Map(),
    // Saved sessions survive a Restart (Part 1, 30.4), not a Reset
    savedSessions: kept?.savedSessions ?? new Map(),
    transients: new Map(),
    sequences: new Map(),
  };
  if (kept === undefined) permanent.resetCount++;
  markStartupLocality(machine.volatile, locality);
}

/** 9.3: a TPM Resume: all that TPM2_Shutdown(STATE) kept is back, the PCRs that are not kept start anew. */
function resume(machine: Machine, kept: Volatile): void {
  machine.volatile = { ...kept, isStarted: true, sessions: new Map(), transients: new Map(), sequences: new Map() };
  machine.volatile.restartCount++;
  for (const digests of machine.volatile.banks.values()) {
    for (const [pcr, value] of digests.entries()) {
      if (!pcrAttributes(pcr).isSaved) digests[pcr] = new Uint8Array(value.length).fill(isDynamic(pcr) ? 0xff : 0);
    }
  }
  machine.volatile.pcrUpdateCounter++;
}

/** 31.1: locks that last until the next Startup(CLEAR), and contents that do not outlive it. */
function clearNvLocks(machine: Machine): void {
  for (const index of machine.permanent.nvIndices.values()) {
    const { readlocked: _, ...attributes } = index.publicArea.attributes;
    const { writelocked, ...unlocked } = attributes;
    const staysLocked = writelocked === true && attributes.writedefine === true && attributes.written === true;
    const { written, ...unwritten } = staysLocked ? attributes : unlocked;
    const isForgotten = attributes.clear_stclear === true && written === true;
    index.publicArea = {
      ...index.publicArea,
      attributes: isForgotten ? unwritten : staysLocked ? attributes : unlocked,
    };
  }
}

export const startup = {
  /** 9.3 */
  TPM2_Startup(machine, { startupType }, { locality }) {
    const { permanent } = machine;
    const { orderly, savedState } = permanent;
    if (startupType === 'state') {
      if (orderly !== 'state' || savedState === undefined) refuse('VALUE', 'startupType');
      resume(machine, openVolatile(savedState));
    } else {
      startClear(machine, orderly === 'state', locality);
      clearNvLocks(machine);
    }
    machine.volatile.isClockSafe = orderly !== 'none';
    permanent.orderly = 'none';
    permanent.savedState = undefined;
    machine.changed();
    return {};
  },

  /** 9.4 */
  TPM2_Shutdown(machine, { shutdownType }) {
    const { permanent } = machine;
    permanent.orderly = shutdownType;
    permanent.savedState = shutdownType === 'state' ? closeVolatile(machine.volatile, machine.time) : undefined;
    machine.setClock(machine.clock);
    machine.changed();
    return {};
  },

  /** 10.2: OpenSSL tests itself when it loads; there is nothing left to test. */
  TPM2_SelfTest: () => ({}),

  /** 10.3: nothing is left to do. */
  TPM2_IncrementalSelfTest: () => ({ toDoList: [] }),

  /** 10.4: testResult 0 is TPM_RC_SUCCESS. */
  TPM2_GetTestResult: () => ({ outData: new Uint8Array(), testResult: 0 }),
} satisfies Handlers;
