/** Dictionary attack protection (Part 1, 19.8; Part 4, DA.c and SessionProcess.c). */
import type { Machine } from './machine.ts';
import { refuse } from './refusal.ts';

/** Forgets failures for the time with power that has passed. */
export function selfHeal(machine: Machine): void {
  const { dictionaryAttack: da, uptime } = machine.permanent;
  if (da.failedTries > 0) {
    const interval = BigInt(da.recoveryTime) * 1000n;
    const forgotten = interval === 0n ? BigInt(da.failedTries) : (uptime - da.selfHealTimer) / interval;
    if (forgotten > 0n) {
      da.failedTries = forgotten >= da.failedTries ? 0 : da.failedTries - Number(forgotten);
      da.selfHealTimer += forgotten * interval;
      machine.changed();
    }
  }
  if (da.isLockoutAuthEnabled || da.lockoutRecovery === 0) return;
  if (uptime - da.lockoutTimer >= BigInt(da.lockoutRecovery) * 1000n) {
    da.isLockoutAuthEnabled = true;
    machine.changed();
  }
}

export function isInLockout({ permanent }: Machine): boolean {
  const { failedTries, maxTries } = permanent.dictionaryAttack;
  return failedTries >= maxTries;
}

/**
 * Before a protected value is looked at. The first time after a start the TPM notes that it was, so that power which goes
 * before the answer counts as a wrong one.
 *
 * @param isLockoutAuth whether it is that of TPM_RH_LOCKOUT, which has a lock of its own
 * @throws {Refusal} `LOCKOUT`; `RETRY` where the note had to be made
 */
export function checkLockedOut(machine: Machine, isLockoutAuth: boolean): void {
  const { permanent, volatile } = machine;
  if (isLockoutAuth) {
    if (!permanent.dictionaryAttack.isLockoutAuthEnabled) refuse('LOCKOUT');
    return;
  }
  if (isInLockout(machine)) refuse('LOCKOUT');
  if (volatile.isDaUsed) return;
  volatile.isDaUsed = true;
  permanent.orderly = 'daUsed';
  machine.changed();
  refuse('RETRY');
}

/** Counts a wrong authorization. @param isLockoutAuth as for {@link checkLockedOut} */
export function countFailure(machine: Machine, isLockoutAuth: boolean): void {
  const { dictionaryAttack: da, uptime } = machine.permanent;
  if (isLockoutAuth) {
    da.isLockoutAuthEnabled = false;
    da.lockoutTimer = uptime;
  } else {
    if (da.recoveryTime !== 0) da.failedTries++;
    da.selfHealTimer = uptime;
  }
  machine.changed();
}

/**
 * At TPM2_Startup (Part 4, DAStartup).
 * @param wasDaUsed a protected value was asked for, and no shutdown came after: it counts as a wrong one, once
 */
export function startDictionaryAttack(machine: Machine, wasDaUsed: boolean): void {
  const { permanent, volatile } = machine;
  const { dictionaryAttack: da } = permanent;
  if (da.lockoutRecovery === 0) da.isLockoutAuthEnabled = true;
  volatile.isDaUsed = wasDaUsed;
  if (!wasDaUsed || da.recoveryTime === 0 || isInLockout(machine)) return;
  volatile.isDaUsed = false;
  da.failedTries++;
  da.selfHealTimer = permanent.uptime;
}

/** As manufactured, and as TPM2_Clear leaves it: libtpms' values, three tries of which one is forgotten each 1000 seconds. */
export const PRESET_DICTIONARY_ATTACK = {
  failedTries: 0,
  maxTries: 3,
  recoveryTime: 1000,
  lockoutRecovery: 1000,
  isLockoutAuthEnabled: true,
} as const;

export function presetDictionaryAttack({ permanent }: Machine): void {
  Object.assign(permanent.dictionaryAttack, PRESET_DICTIONARY_ATTACK);
}
