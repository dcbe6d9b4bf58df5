/** Start-up and self-test: TPM 2.0 Part 3, 9 and 10. */
import { isImplementedAlgorithm } from '../algorithms.ts';
import { startDictionaryAttack } from '../dictionary-attack.ts';
import type { Handlers } from '../handler.ts';
import { CLOCK_UPDATE, SECRET_SIZE, SPLIT_MAX } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { startIndex } from '../nv-access.ts';
import { countedChanges, isDynamic, PCRS, pcrAttributes, startBanks } from '../pcr-banks.ts';
import { refuse } from '../refusal.ts';
import { FIRST_CONTEXT_ID } from '../saved-sessions.ts';
import { closeVolatile, openVolatile, type Volatile } from '../state.ts';

const NONE = new Uint8Array(0);

/** PCR 0 keeps what an H-CRTM sequence made of it; without one it tells the startup locality (9.3.3, PC Client profile). */
function banksAtStartup({ permanent, volatile }: Machine, isLocality3: boolean): Volatile['banks'] {
  const banks = startBanks(permanent.pcrAllocation);
  for (const [hash, digests] of banks) {
    const pcr0 = volatile.hasHcrtm ? volatile.banks.get(hash)?.[0] : digests[0];
    if (pcr0 === undefined || pcr0.length === 0) continue;
    if (isLocality3) pcr0[pcr0.length - 1] = 3;
    digests[0] = pcr0;
  }
  return banks;
}

/** What a TPM Reset begins anew, and what a Restart or Resume takes up (Part 4, Global.h: STATE_RESET_DATA). */
function resetData(machine: Machine, kept: Volatile | undefined) {
  if (kept === undefined) {
    return {
      nullSeed: machine.random(SECRET_SIZE),
      nullProof: machine.random(SECRET_SIZE),
      restartCount: 0,
      clearCount: 0,
      pcrUpdateCounter: 0,
      commandAuditDigest: NONE,
      commitNonce: machine.random(SECRET_SIZE),
      commitCounter: 0n,
      commitArray: new Uint8Array(SPLIT_MAX / 8),
      objectContextId: 0n,
      sessionContextId: FIRST_CONTEXT_ID,
      savedSessions: new Map(),
    } satisfies Partial<Volatile>;
  }
  const { nullSeed, nullProof, restartCount, clearCount, pcrUpdateCounter, commandAuditDigest } = kept;
  const { commitNonce, commitCounter, commitArray, objectContextId, sessionContextId, savedSessions } = kept;
  const counters = { restartCount: restartCount + 1, clearCount, pcrUpdateCounter, commandAuditDigest };
  const commitments = { commitNonce, commitCounter, commitArray };
  // Saved sessions outlive all but a Reset (Part 1, 30.4), loaded ones nothing
  const contexts = { objectContextId, sessionContextId, savedSessions };
  return { nullSeed, nullProof, ...counters, ...commitments, ...contexts } satisfies Partial<Volatile>;
}

/** 9.3: a TPM Reset, or a TPM Restart where TPM2_Shutdown(STATE) came before. */
function startClear(machine: Machine, kept: Volatile | undefined, isLocality3: boolean): void {
  const { permanent, volatile } = machine;
  Object.assign(volatile, resetData(machine, kept), { banks: banksAtStartup(machine, isLocality3) });
  volatile.pcrUpdateCounter += countedChanges(PCRS);
  if (kept !== undefined) volatile.clearCount++;
  else {
    permanent.resetCount++;
    permanent.totalResetCount++;
  }
  for (const index of permanent.nvIndices.values()) startIndex(index, kept === undefined, volatile.wasOrderly);
}

/** 9.3: a TPM Resume: all that TPM2_Shutdown(STATE) kept is back, the PCRs that are not kept start anew. */
function resume(machine: Machine, kept: Volatile): void {
  const { volatile } = machine;
  const { platformAuth, platformPolicy, isStorageEnabled, isEndorsementEnabled, isPlatformNvEnabled } = kept;
  const hierarchies = { platformAuth, platformPolicy, isStorageEnabled, isEndorsementEnabled, isPlatformNvEnabled };
  Object.assign(volatile, resetData(machine, kept), hierarchies, { banks: kept.banks, pcrAuth: kept.pcrAuth });
  const started = PCRS.filter((pcr) => !pcrAttributes(pcr).isSaved);
  for (const digests of volatile.banks.values()) {
    for (const pcr of started) {
      const { length } = digests[pcr] ?? [];
      digests[pcr] = new Uint8Array(length ?? 0).fill(isDynamic(pcr) ? 0xff : 0);
    }
  }
  volatile.pcrUpdateCounter += countedChanges(started);
}

/** 9.3.3: a Resume comes at the locality of the start before, and after an H-CRTM sequence where there was one then. */
function mayResume(machine: Machine, kept: Volatile, isLocality3: boolean): void {
  if (kept.hasHcrtm !== machine.volatile.hasHcrtm) refuse('VALUE', 'startupType');
  if (kept.isStartedAtLocality3 !== isLocality3) refuse('LOCALITY');
}

/** Without a shutdown the clock may have shown more than is known, up to where it is next written (Part 1, 36.3.4). */
function safeFrom(clock: bigint, wasOrderly: boolean): bigint {
  return wasOrderly ? 0n : (clock | BigInt(CLOCK_UPDATE - 1)) + 1n;
}

export const startup = {
  /** 9.3 */
  TPM2_Startup(machine, { startupType }, { locality }) {
    const { permanent, volatile } = machine;
    const { orderly, savedState } = permanent;
    if (locality !== 0 && locality !== 3) refuse('LOCALITY');
    const isLocality3 = locality === 3 && !volatile.hasHcrtm;
    const kept = orderly === 'state' && savedState !== undefined ? openVolatile(savedState) : undefined;
    if (startupType === 'state') mayResume(machine, kept ?? refuse('VALUE', 'startupType'), isLocality3);
    volatile.isStarted = true;
    volatile.isStartedAtLocality3 = isLocality3;
    volatile.wasOrderly = machine.isOrderly;
    volatile.clockSafeFrom = safeFrom(permanent.clock, volatile.wasOrderly);
    startDictionaryAttack(machine, orderly === 'daUsed');
    if (startupType === 'state' && kept !== undefined) resume(machine, kept);
    else startClear(machine, kept, isLocality3);
    permanent.orderly = 'none';
    permanent.savedState = undefined;
    machine.changed();
    return {};
  },

  /** 9.4 */
  TPM2_Shutdown(machine, { shutdownType }) {
    const { permanent, volatile } = machine;
    // The PCRs that would be kept are not those of the next start
    if (volatile.isPcrReconfigured && shutdownType === 'state') refuse('TYPE', 'shutdownType');
    permanent.orderly = shutdownType;
    volatile.isDaUsed = false;
    permanent.savedState = shutdownType === 'state' ? closeVolatile(volatile) : undefined;
    machine.changed();
    return {};
  },

  /** 10.2: OpenSSL tests itself when it loads; there is nothing left to test. */
  TPM2_SelfTest: () => ({}),

  /** 10.3: nothing is left to do. */
  TPM2_IncrementalSelfTest(_machine, { toTest }) {
    if (!toTest.every(isImplementedAlgorithm)) refuse('VALUE', 'toTest');
    return { toDoList: [] };
  },

  /** 10.4: testResult 0 is TPM_RC_SUCCESS. */
  TPM2_GetTestResult: () => ({ outData: NONE, testResult: 0 }),
} satisfies Handlers;
