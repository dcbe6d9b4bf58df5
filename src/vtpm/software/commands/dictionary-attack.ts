/** Dictionary attack protection: TPM 2.0 Part 3, 25. */
import type { Handlers } from '../handler.ts';

export const dictionaryAttack = {
  /** 25.2 */
  TPM2_DictionaryAttackLockReset(machine) {
    machine.permanent.dictionaryAttack.failedTries = 0;
    machine.changed();
    return {};
  },

  /** 25.3 */
  TPM2_DictionaryAttackParameters(machine, { newMaxTries, newRecoveryTime, lockoutRecovery }) {
    const { dictionaryAttack: da } = machine.permanent;
    da.maxTries = newMaxTries;
    da.recoveryTime = newRecoveryTime;
    da.lockoutRecovery = lockoutRecovery;
    machine.changed();
    return {};
  },
} satisfies Handlers;
