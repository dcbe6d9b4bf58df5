/** The EVM of the running kernel: whether it is there, and switched on with a key. */
import { existsSync, writeFileSync } from 'node:fs';
import { KeyError } from '../../keys/index.ts';
import { SPECIAL_KEYRINGS } from '../../sys/index.ts';
import { addAsEncrypted, searchUserKeys } from './kernel-keyring.ts';

/** KEY of the kernel's EVM (evm_crypto.c: EVMKEY). */
const EVM_KEY_NAME = 'evm-key';
const EVM_SWITCH = '/sys/kernel/security/evm';
/** EVM_INIT_HMAC (Documentation/ABI/testing/evm). */
const EVM_INIT_HMAC = '1';

export type EvmState = 'on' | 'no-evm' | 'refused';

export interface SwitchedEvm {
  readonly state: EvmState;
  /** Why it is not on. */
  readonly refusal?: KeyError;
}

/** The key goes into the kernel under a master key that is forgotten at once. */
export function switchOn(payload: Uint8Array): SwitchedEvm {
  if (!existsSync(EVM_SWITCH)) {
    const refusal = new KeyError('key.no-evm', `EVM is not switched on: there is no ${EVM_SWITCH}`, {
      advice:
        'boot a kernel with CONFIG_EVM, or mount securityfs if this is one; the files are made, and --no-load makes them alone',
    });
    return { state: 'no-evm', refusal };
  }
  try {
    searchUserKeys();
    addAsEncrypted(EVM_KEY_NAME, payload, SPECIAL_KEYRINGS.get('@u') ?? 0);
    writeFileSync(EVM_SWITCH, EVM_INIT_HMAC);
    return { state: 'on' };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const refusal = new KeyError('key.keyring', `EVM is not switched on: ${why}`, {
      advice: 'EVM takes one key a boot, and root alone may load it; the files are made, and a boot loads them',
      cause,
    });
    return { state: 'refused', refusal };
  }
}
