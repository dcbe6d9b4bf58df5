/** Start-up and self-test: TPM 2.0 Part 3, 9 and 10. */
import type { Handlers } from '../handler.ts';
import type { Machine } from '../machine.ts';
import { countedChanges, isDynamic, PCRS, pcrAttributes, startBanks } from '../pcr-banks.ts';
import { refuse } from '../refusal.ts';
import { closeVolatile, openVolatile, type Volatile } from '../state.ts';

/** PCR 0 keeps what an H-CRTM sequence made of it; without one it tells the startup locality (9.3.3, PC Client profile). */
function banksAtStartup(machine: Machine, isLocality3: boolean): Volatile['banks'] {
  const { permanent, volatile } = machine;
  const banks = startBanks(permanent.pcrAllocation);
  for (const [hash, digests] of banks) {
    const pcr0 = volatile.hasHcrtm ? volatile.banks.get(hash)?.[0] : digests[0];
    if (pcr0 === undefined) continue;
    if (isLocality3) pcr0[pcr0.length - 1] = 3;
    digests[0] = pcr0;
  }
  return banks;
}

/** 9.3: a TPM Reset, or a TPM Restart where TPM2_Shutdown(STATE) came before. */
function startClear(machine: Machine, isRestart: boolean, isLocality3: boolean): void {
  const { permanent, volatile } = machine;
  const saved = isRestart ? permanent.savedState : undefined;
  const kept = saved === undefined ? undefined : openVolatile(saved);
  machine.volatile = {
    ...volatile,
    isStarted: true,
    isStartedAtLocality3: isLocality3,
    banks: banksAtStartup(machine, isLocality3),
    pcrUpdateCounter: (kept?.pcrUpdateCounter ?? 0) + countedChanges(PCRS),
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
}

/** 9.3: a TPM Resume: all that TPM2_Shutdown(STATE) kept is back, the PCRs that are not kept start anew. */
function resume(machine: Machine, kept: Volatile): void {
  const { isEstablished } = machine.volatile;
  machine.volatile = {
    ...kept,
    isStarted: true,
    isEstablished,
    sessions: new Map(),
    transients: new Map(),
    sequences: new Map(),
  };
  machine.volatile.restartCount++;
  const started = PCRS.filter((pcr) => !pcrAttributes(pcr).isSaved);
  for (const digests of machine.volatile.banks.values()) {
    for (const pcr of started) {
      const { length } = digests[pcr] ?? [];
      digests[pcr] = new Uint8Array(length ?? 0).fill(isDynamic(pcr) ? 0xff : 0);
    }
  }
  machine.volatile.pcrUpdateCounter += countedChanges(started);
}

/** 9.3.3: a Resume comes at the locality of the start before, and after an H-CRTM sequence where there was one then. */
function mayResume(machine: Machine, kept: Volatile, isLocality3: boolean): void {
  if (kept.hasHcrtm !== machine.volatile.hasHcrtm) refuse('VALUE', 'startupType');
  if (kept.isStartedAtLocality3 !== isLocality3) refuse('LOCALITY');
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
    const { permanent, volatile } = machine;
    const { orderly, savedState } = permanent;
    if (locality !== 0 && locality !== 3) refuse('LOCALITY');
    const isLocality3 = locality === 3 && !volatile.hasHcrtm;
    if (startupType === 'state') {
      if (orderly !== 'state' || savedState === undefined) return refuse('VALUE', 'startupType');
      const kept = openVolatile(savedState);
      mayResume(machine, kept, isLocality3);
      resume(machine, kept);
    } else {
      startClear(machine, orderly === 'state', isLocality3);
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
