/** Dictionary attack protection (Part 1, 19.8; Part 4, DA.c). */
import { TPM_RH } from '../../tpm/index.ts';
import type { Entity } from './entities.ts';
import type { Machine } from './machine.ts';

/** Forgets failures for the time that has passed. */
export function selfHeal(machine: Machine): void {
  const { dictionaryAttack: da } = machine.permanent;
  const { clock } = machine;
  if (da.failedTries > 0 && da.recoveryTime > 0) {
    const forgotten = (clock - da.selfHealTimer) / BigInt(da.recoveryTime * 1000);
    if (forgotten > 0n) {
      da.failedTries = Math.max(0, da.failedTries - Number(forgotten));
      da.selfHealTimer += forgotten * BigInt(da.recoveryTime * 1000);
      machine.changed();
    }
  }
  const isLockoutOver = clock - da.lockoutTimer >= BigInt(da.lockoutRecovery * 1000);
  if (!da.isLockoutAuthEnabled && da.lockoutRecovery > 0 && isLockoutOver) {
    da.isLockoutAuthEnabled = true;
    machine.changed();
  }
}

export function isInLockout(machine: Machine): boolean {
  const { failedTries, maxTries } = machine.permanent.dictionaryAttack;
  return failedTries >= maxTries;
}

/** True where an authorization value for this entity must not even be looked at now. */
export function isLockedOut(machine: Machine, subject: Entity): boolean {
  selfHeal(machine);
  if (subject.handle === TPM_RH.LOCKOUT) return !machine.permanent.dictionaryAttack.isLockoutAuthEnabled;
  return !subject.isDaExempt && isInLockout(machine);
}

/** Counts a wrong authorization. @returns false where the entity is not protected, so that nothing was counted */
export function countFailure(machine: Machine, subject: Pick<Entity, 'handle' | 'isDaExempt'>): boolean {
  const { dictionaryAttack: da } = machine.permanent;
  if (subject.handle === TPM_RH.LOCKOUT) {
    da.isLockoutAuthEnabled = false;
    da.lockoutTimer = machine.clock;
  } else {
    if (subject.isDaExempt || da.recoveryTime === 0) return !subject.isDaExempt;
    if (da.failedTries === 0) da.selfHealTimer = machine.clock;
    da.failedTries = Math.min(da.failedTries + 1, da.maxTries);
  }
  machine.changed();
  return true;
}
