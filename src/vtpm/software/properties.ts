/** TPM_PT: the properties that TPM2_GetCapability tells (Part 2, 6.13), with libtpms' limits. */
import { TPM_ALG, TPM_PT, TPMA_PERMANENT, TPMA_STARTUP_CLEAR } from '../../tpm/index.ts';
import { CURVES } from './curves.ts';
import { isInLockout } from './dictionary-attack.ts';
import { IMPLEMENTED } from './implemented.ts';
import {
  CLOCK_UPDATE,
  CONTEXT_GAP,
  FIRMWARE_VERSION,
  INTEGRITY_HASH,
  INTEGRITY_SIZE,
  MANUFACTURER,
  MAX_ACTIVE_SESSIONS,
  MAX_LOADED_SESSIONS,
  MAX_NV_INDEX_SIZE,
  MAX_TRANSIENT,
  NV_BUFFER_MAX,
  ORDERLY_COUNT,
  PCR_COUNT,
  SPLIT_MAX,
  VENDOR_STRINGS,
} from './limits.ts';
import type { Machine } from './machine.ts';
import { counterCount, countersAvailable, MIN_PERSISTENT, persistentAvailable } from './nv-memory.ts';

interface TaggedProperty {
  readonly property: number;
  readonly value: number;
}

type Entry = readonly [property: number, value: number];

function fourCharacters(text: string): number {
  return Buffer.from(text.padEnd(4, '\0').slice(0, 4), 'latin1').readUInt32BE();
}

/** Family 2.0, revision 1.64 of day 75 of 2021: what libtpms and its peers follow. */
const SPECIFICATION = { family: fourCharacters('2.0'), revision: 164, day: 75, year: 2021 } as const;
export const SPECIFICATION_REVISION = SPECIFICATION.revision;

function fixedProperties(machine: Machine): readonly Entry[] {
  const { family, revision, day, year } = SPECIFICATION;
  const commands = IMPLEMENTED.size;
  return [
    [TPM_PT.FAMILY_INDICATOR, family],
    [TPM_PT.LEVEL, 0],
    [TPM_PT.REVISION, revision],
    [TPM_PT.DAY_OF_YEAR, day],
    [TPM_PT.YEAR, year],
    [TPM_PT.MANUFACTURER, fourCharacters(MANUFACTURER)],
    ...VENDOR_STRINGS.map((text, i): Entry => [TPM_PT.VENDOR_STRING_1 + i, fourCharacters(text)]),
    [TPM_PT.VENDOR_TPM_TYPE, 1],
    [TPM_PT.FIRMWARE_VERSION_1, FIRMWARE_VERSION.high],
    [TPM_PT.FIRMWARE_VERSION_2, FIRMWARE_VERSION.low],
    [TPM_PT.INPUT_BUFFER, 1024],
    [TPM_PT.HR_TRANSIENT_MIN, MAX_TRANSIENT],
    [TPM_PT.HR_PERSISTENT_MIN, MIN_PERSISTENT],
    [TPM_PT.HR_LOADED_MIN, MAX_LOADED_SESSIONS],
    [TPM_PT.ACTIVE_SESSIONS_MAX, MAX_ACTIVE_SESSIONS],
    [TPM_PT.PCR_COUNT, PCR_COUNT],
    [TPM_PT.PCR_SELECT_MIN, PCR_COUNT / 8],
    [TPM_PT.CONTEXT_GAP_MAX, CONTEXT_GAP],
    [TPM_PT.NV_COUNTERS_MAX, 0],
    [TPM_PT.NV_INDEX_MAX, MAX_NV_INDEX_SIZE],
    // TPMA_MEMORY: sharedNV and objectCopiedToRam
    [TPM_PT.MEMORY, 6],
    [TPM_PT.CLOCK_UPDATE, CLOCK_UPDATE],
    [TPM_PT.CONTEXT_HASH, TPM_ALG[INTEGRITY_HASH]],
    [TPM_PT.CONTEXT_SYM, TPM_ALG.aes],
    [TPM_PT.CONTEXT_SYM_SIZE, 256],
    [TPM_PT.ORDERLY_COUNT, ORDERLY_COUNT],
    [TPM_PT.MAX_COMMAND_SIZE, machine.bufferSize],
    [TPM_PT.MAX_RESPONSE_SIZE, machine.bufferSize],
    [TPM_PT.MAX_DIGEST, INTEGRITY_SIZE],
    [TPM_PT.MAX_OBJECT_CONTEXT, 0xa84],
    [TPM_PT.MAX_SESSION_CONTEXT, 0x194],
    // As libtpms, which has no profile of its own here
    [TPM_PT.PS_FAMILY_INDICATOR, family],
    [TPM_PT.PS_LEVEL, 0],
    [TPM_PT.PS_REVISION, revision],
    [TPM_PT.PS_DAY_OF_YEAR, day],
    [TPM_PT.PS_YEAR, year],
    [TPM_PT.SPLIT_MAX, SPLIT_MAX],
    [TPM_PT.TOTAL_COMMANDS, commands],
    [TPM_PT.LIBRARY_COMMANDS, commands],
    [TPM_PT.VENDOR_COMMANDS, 0],
    [TPM_PT.NV_BUFFER_MAX, NV_BUFFER_MAX],
    [TPM_PT.MODES, 0],
    [TPM_PT.MAX_CAP_BUFFER, 1024],
  ];
}

function permanentAttributes({ permanent }: Machine, inLockout: boolean): number {
  return TPMA_PERMANENT.toNumber({
    ownerAuthSet: permanent.owner.auth.length > 0,
    endorsementAuthSet: permanent.endorsement.auth.length > 0,
    lockoutAuthSet: permanent.lockoutAuth.length > 0,
    disableClear: permanent.isClearDisabled,
    inLockout,
    tpmGeneratedEPS: true,
  });
}

function startupAttributes({ volatile }: Machine): number {
  return TPMA_STARTUP_CLEAR.toNumber({
    phEnable: volatile.isPlatformEnabled,
    shEnable: volatile.isStorageEnabled,
    ehEnable: volatile.isEndorsementEnabled,
    phEnableNV: volatile.isPlatformNvEnabled,
    orderly: volatile.wasOrderly,
  });
}

function variableProperties(machine: Machine): readonly Entry[] {
  const { permanent, volatile, evicted } = machine;
  const { dictionaryAttack: da } = permanent;
  const loaded = volatile.sessions.size;
  const active = loaded + volatile.savedSessions.size;
  const occupied = volatile.transients.size + volatile.sequences.size + evicted.size;
  return [
    [TPM_PT.PERMANENT, permanentAttributes(machine, isInLockout(machine))],
    [TPM_PT.STARTUP_CLEAR, startupAttributes(machine)],
    [TPM_PT.HR_NV_INDEX, permanent.nvIndices.size],
    [TPM_PT.HR_LOADED, loaded],
    [TPM_PT.HR_LOADED_AVAIL, MAX_LOADED_SESSIONS - loaded],
    [TPM_PT.HR_ACTIVE, active],
    [TPM_PT.HR_ACTIVE_AVAIL, MAX_ACTIVE_SESSIONS - active],
    [TPM_PT.HR_TRANSIENT_AVAIL, MAX_TRANSIENT - occupied],
    [TPM_PT.HR_PERSISTENT, permanent.persistents.size],
    [TPM_PT.HR_PERSISTENT_AVAIL, persistentAvailable(machine)],
    [TPM_PT.NV_COUNTERS, counterCount(machine)],
    [TPM_PT.NV_COUNTERS_AVAIL, countersAvailable(machine)],
    [TPM_PT.ALGORITHM_SET, permanent.algorithmSet],
    [TPM_PT.LOADED_CURVES, Object.keys(CURVES).length],
    [TPM_PT.LOCKOUT_COUNTER, da.failedTries],
    [TPM_PT.MAX_AUTH_FAIL, da.maxTries],
    [TPM_PT.LOCKOUT_INTERVAL, da.recoveryTime],
    [TPM_PT.LOCKOUT_RECOVERY, da.lockoutRecovery],
    [TPM_PT.NV_WRITE_RECOVERY, 0],
    [TPM_PT.AUDIT_COUNTER_0, Number(permanent.auditCounter >> 32n)],
    [TPM_PT.AUDIT_COUNTER_1, Number(BigInt.asUintN(32, permanent.auditCounter))],
  ];
}

export function properties(machine: Machine): readonly TaggedProperty[] {
  return [...fixedProperties(machine), ...variableProperties(machine)].map(([property, value]) => ({
    property,
    value,
  }));
}
