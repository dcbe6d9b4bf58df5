/** What a TPM's refusal means for a key. */
import { isResponseCode, PolicyNotSatisfied, type ResponseCodeName, TpmError } from '../../tpm/index.ts';
import { KeyError } from '../error.ts';

const RESET: readonly ResponseCodeName[] = [
  'REFERENCE_H0',
  'REFERENCE_H1',
  'REFERENCE_S0',
  'REFERENCE_S1',
  'INITIALIZE',
];

/** Whether a TPM says that there is no object at the handle that a command names. */
export function isMissing(error: unknown): boolean {
  if (!(error instanceof TpmError) || error.rc === undefined) return false;
  return isResponseCode(error.rc, 'HANDLE') || isResponseCode(error.rc, 'REFERENCE_H0');
}

/** The error for people, where the TPM's answer has a meaning for keys; else the error as it was. */
export function keyError(error: unknown): unknown {
  if (error instanceof PolicyNotSatisfied) return wrongBootState(error);
  if (!(error instanceof TpmError)) return error;
  const { rc } = error;
  if (rc === undefined) return error;
  const is = (name: ResponseCodeName): boolean => isResponseCode(rc, name);
  if (is('POLICY_FAIL') || is('PCR_CHANGED') || is('POLICY')) {
    return new KeyError('key.wrong-boot-state', 'the policy that the key was sealed to does not hold now', {
      advice: 'boot the state that it was sealed to, or recover the key and seal it anew',
      cause: error,
    });
  }
  if (is('AUTH_FAIL') || is('BAD_AUTH')) {
    return new KeyError('key.wrong-secret', 'the TPM refuses: the authorization value or PIN is wrong', {
      advice: 'after a few wrong ones the TPM answers none for a while',
      cause: error,
    });
  }
  if (is('LOCKOUT')) {
    return new KeyError('key.locked-out', 'the TPM answers no PIN now: there were too many wrong ones', {
      advice: 'wait for its lockout interval, or clear it with tpm2_dictionarylockout --clear-lockout',
      cause: error,
    });
  }
  if (is('INTEGRITY') || is('SENSITIVE')) return foreignBlob(error);
  if (is('SIGNATURE')) {
    return new KeyError('key.policy', 'the TPM refuses the signed policy: another key made its signature', {
      advice: 'take one that the owner of the --authorize key has signed',
      cause: error,
    });
  }
  if (RESET.some(is)) {
    return new KeyError('key.tpm-reset', 'the TPM forgot what it was asked: it was reset meanwhile', {
      advice: 'try again',
      cause: error,
    });
  }
  return error;
}

/** The TPM does not take the blob. */
export function foreignBlob(cause: TpmError): KeyError {
  return new KeyError(
    'key.foreign-blob',
    'this TPM did not make the key: another TPM or parent did, or its bytes were changed',
    { advice: 'take the blob of this machine, or recover the key', cause },
  );
}

function wrongBootState(error: PolicyNotSatisfied): KeyError {
  const [first, ...more] = error.differing;
  const advice = 'boot the state that it was sealed to, or recover the key and seal it anew';
  if (first === undefined)
    return new KeyError('key.policy', `the key does not open: ${error.message}`, { advice, cause: error });
  const others = more.length === 0 ? '' : `; and ${more.map(({ pcr }) => `PCR ${pcr}`).join(', ')}`;
  const what = `PCR ${first.pcr} (${first.bank}) is ${first.found}, and the key was sealed to ${first.expected}${others}`;
  return new KeyError('key.wrong-boot-state', what, { advice, cause: error });
}
