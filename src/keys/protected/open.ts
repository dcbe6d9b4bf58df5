/** Opens a protected key with whatever of its protectors there is. */
import { AssayError } from '../../bytes/index.ts';
import { KeyError, type KeyErrorCode } from '../error.ts';
import { passwordMaster } from './password.ts';
import { type ProtectedKey, type Protector, type ProtectorOf, unwrap } from './protected-key.ts';
import { recoveryMaster } from './recovery-code.ts';

/** What is at hand. The functions give a master key's payload, undefined where their thing is not there at all. */
export interface Openers {
  readonly password?: string;
  readonly recoveryCode?: string;
  readonly usb?: (protector: ProtectorOf<'usb'>) => Promise<Uint8Array | undefined>;
  readonly token?: (protector: ProtectorOf<'token'>) => Promise<Uint8Array | undefined>;
  readonly tpm?: (protector: ProtectorOf<'tpm'>) => Promise<Uint8Array | undefined>;
}

export interface OpenedKey {
  /** A secret. */
  readonly payload: Buffer;
  /** Name of the protector that opened it. */
  readonly by: string;
}

/**
 * Tries the protectors in their order.
 * @throws {KeyError} the one reason where one protector was tried; else all of them, protector by protector
 */
export async function openProtectedKey(key: ProtectedKey, openers: Openers): Promise<OpenedKey> {
  const failures: { readonly id: string; readonly error: AssayError }[] = [];
  for (const protector of key.protectors) {
    try {
      const master = await masterOf(protector, openers);
      if (master !== undefined) return { payload: unwrap(protector, master), by: protector.id };
    } catch (error) {
      if (!(error instanceof AssayError)) throw error;
      failures.push({ id: protector.id, error });
    }
  }
  throw refusal(key, failures);
}

async function masterOf(protector: Protector, openers: Openers): Promise<Uint8Array | undefined> {
  switch (protector.kind) {
    case 'password':
      return openers.password === undefined ? undefined : passwordMaster(openers.password, protector.kdf);
    case 'recovery':
      return openers.recoveryCode === undefined ? undefined : recoveryMaster(openers.recoveryCode);
    case 'usb':
      return openers.usb?.(protector);
    case 'token':
      return openers.token?.(protector);
    case 'tpm':
      return openers.tpm?.(protector);
  }
}

function refusal(
  key: ProtectedKey,
  failures: readonly { readonly id: string; readonly error: AssayError }[],
): AssayError {
  const [only, another] = failures;
  if (only !== undefined && another === undefined) return only.error;
  if (only === undefined) {
    const kinds = [...new Set(key.protectors.map(({ kind }) => kind))].join(', ');
    return new KeyError('key.missing', `nothing that opens the key was given or found; its protectors: ${kinds}`, {
      advice: 'give --password, --recovery or --token-pin, plug the device in, or name the TPM',
    });
  }
  const reasons = failures.map(({ id, error }) => `${id}: ${error.message}`).join('; ');
  // A protector that said no counts more than one that could not be asked.
  const errors = failures.map(({ error }) => error);
  const decisive = errors.find((error) => error.exitCode === 1) ?? only.error;
  const code: KeyErrorCode = decisive instanceof KeyError ? decisive.code : 'key.wrong-secret';
  return new KeyError(code, `no protector opens the key: ${reasons}`, { exitCode: decisive.exitCode });
}
