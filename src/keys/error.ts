import { AssayError, type ExitCode } from '../bytes/index.ts';

export type KeyErrorCode =
  /** The bytes are in no form that a key has. */
  | 'key.not-a-key'
  /** A key, policy or signature in a form that Assay knows, and damaged. */
  | 'key.malformed'
  /** An option of the kernel's that does not exist, is there twice, or has no such value. */
  | 'key.option'
  /** A payload of a size that the format does not have. */
  | 'key.size'
  /** There is no storage key at the handle under which the key is sealed. */
  | 'key.no-parent'
  /** The PCRs, or another condition of the policy, are not those that the key was sealed to. */
  | 'key.wrong-boot-state'
  /** The policy cannot be satisfied: what it asks for was not given. */
  | 'key.policy'
  /** A wrong password, PIN or authorization value. */
  | 'key.wrong-secret'
  /** Too many wrong secrets: the TPM answers none for a while. */
  | 'key.locked-out'
  /** The blob was made by another TPM, under another parent key, or its bytes were changed. */
  | 'key.foreign-blob'
  /** The TPM was reset while it was used. */
  | 'key.tpm-reset'
  /** The master key is not the one that the key was encrypted with, or its bytes were changed. */
  | 'key.wrong-master'
  /** A master key, token or removable device is not there. */
  | 'key.missing'
  /** A key is there already, and is not replaced. */
  | 'key.exists'
  /** Another process changes the key's file, or has changed it meanwhile. */
  | 'key.busy'
  /** The running kernel has no EVM. */
  | 'key.no-evm'
  /** The kernel's keyring refuses. */
  | 'key.keyring';

/** What went wrong with a key. Never holds a secret, nor a hint of one. */
export class KeyError extends AssayError {
  readonly code: KeyErrorCode;

  constructor(
    code: KeyErrorCode,
    message: string,
    options: { advice?: string; exitCode?: ExitCode; cause?: unknown } = {},
  ) {
    super(message, { exitCode: EXIT_CODES[code] ?? 2, ...options });
    this.code = code;
  }
}

/** A key that does not open is a no, not a misuse. */
const EXIT_CODES: Readonly<Partial<Record<KeyErrorCode, ExitCode>>> = {
  'key.wrong-boot-state': 1,
  'key.policy': 1,
  'key.wrong-secret': 1,
  'key.locked-out': 1,
  'key.foreign-blob': 1,
  'key.wrong-master': 1,
  'key.malformed': 1,
  'key.tpm-reset': 3,
  'key.no-parent': 3,
  'key.missing': 3,
  'key.busy': 3,
  'key.no-evm': 3,
  'key.keyring': 3,
};
