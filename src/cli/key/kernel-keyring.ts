/** Keys into the kernel's keyrings. */
import { randomBytes } from 'node:crypto';
import { encodeEncryptedKey, encryptKey, KeyError } from '../../keys/index.ts';
import { addKey, linkKey, SPECIAL_KEYRINGS, SysError } from '../../sys/index.ts';

const USER = SPECIAL_KEYRINGS.get('@u') ?? 0;
const SESSION = SPECIAL_KEYRINGS.get('@s') ?? 0;
const PROCESS = SPECIAL_KEYRINGS.get('@p') ?? 0;

/** @returns its serial number @throws {KeyError} `key.keyring` */
export function addToKeyring(type: string, name: string, payload: Uint8Array, keyring: number): number {
  return asKeyError(`${type}:${name}`, () => addKey(type, name, payload, keyring));
}

/**
 * Adds a payload as an encrypted key, as EVM wants its own. Its master key is in the keyring of this process alone and goes
 * with it: nobody reads the payload back.
 * @returns its serial number @throws {KeyError} `key.keyring`
 */
export function addAsEncrypted(name: string, payload: Uint8Array, keyring: number): number {
  const master = { name: 'user:assay-forgotten', payload: randomBytes(32) } as const;
  const line = encodeEncryptedKey(encryptKey(payload, master));
  return asKeyError(`encrypted:${name}`, () => {
    addKey('user', 'assay-forgotten', master.payload, PROCESS);
    return addKey('encrypted', name, Buffer.from(`load ${line}`), keyring);
  });
}

/** The kernel looks keys up from the session's keyring, which need not lead to the user's: a service's own does not. */
export function searchUserKeys(): void {
  try {
    linkKey(USER, SESSION);
  } catch (error) {
    if (!(error instanceof SysError)) throw error; // it may lead there already, or be another's
  }
}

function asKeyError<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new KeyError('key.keyring', `the kernel does not take ${what}: ${WHY[error.errno ?? ''] ?? error.message}`, {
      cause: error,
    });
  }
}

/** What the key types mean by their errors (trusted_tpm2.c, encrypted.c). */
const WHY: Readonly<Record<string, string>> = {
  ENODEV: 'it has no keys of this type, or no TPM for them',
  ENOKEY: 'the master key is in no keyring of this session',
  EPERM: 'the TPM refuses: other PCR values or a wrong authorization',
  EINVAL: 'the key is malformed, of another master key, or the name exists with another content',
  EKEYREVOKED: 'the master key was revoked',
  EACCES: 'this user may not write to that keyring',
};
