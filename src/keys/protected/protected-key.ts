/**
 * A key behind several protectors, each of which opens it alone: a TPM, a boot password, a USB stick, a token, a recovery
 * code. Each has the key's payload as one of the kernel's encrypted keys, under a master key that only this protector
 * gives: so the kernel itself opens it in an initramfs, with nothing of ours there; and protectors come and go without
 * the key's changing.
 */
import { randomBytes } from 'node:crypto';
import { digest, toHex } from '../../bytes/index.ts';
import type { Policy } from '../../tpm/index.ts';
import { decryptKey, type EncryptedKey, encodeEncryptedKey, encryptKey } from '../encrypted-key.ts';
import { KeyError } from '../error.ts';
import { encodeTrustedBlob, type TrustedBlob } from '../trusted/blob.ts';
import { type Argon2Parameters, newArgon2Parameters, passwordMaster } from './password.ts';
import { newRecoveryCode, recoveryMaster } from './recovery-code.ts';

export interface ProtectedKey {
  /** Bytes of the payload, 20…4096. */
  readonly size: number;
  readonly protectors: readonly Protector[];
}

export interface Slot {
  /** `password-1a2b3c4d`; its master key is `assay-` and this, for the kernel. */
  readonly id: string;
  readonly wrapped: EncryptedKey;
  /**
   * SHA-256 of the master key. A measured initramfs holds it, so that nobody who can write to the disk puts a key of their
   * own in the place of this one; it stays when the master key is sealed anew. Of a master key that the kernel unseals it
   * is the SHA-256 of its blob in hexadecimal: no process has the master key then.
   */
  readonly fingerprint: string;
}

export type Protector =
  | (Slot & { readonly kind: 'password'; readonly kdf: Argon2Parameters })
  | (Slot & { readonly kind: 'recovery' })
  /** A key file on a removable device. */
  | (Slot & { readonly kind: 'usb'; readonly fileSystem: string; readonly path: string })
  /** An RSA key in a PKCS#11 token, which decrypts the master key. The URI holds no PIN. */
  | (Slot & { readonly kind: 'token'; readonly uri: string; readonly encrypted: Uint8Array })
  /** A trusted key, whose payload is the master key. */
  | (Slot & { readonly kind: 'tpm'; readonly blob: TrustedBlob; readonly policy: Policy | undefined });

export type ProtectorKind = Protector['kind'];
export type ProtectorOf<K extends ProtectorKind> = Extract<Protector, { kind: K }>;

const MAX_PROTECTORS = 16;

/** `tpm-…`: a name that no protector of any key has. */
export const newProtectorId = (kind: ProtectorKind): string => `${kind}-${randomBytes(4).toString('hex')}`;

/**
 * What every protector has.
 * @param master payload of the master key
 * @param type `trusted` where the kernel itself unseals the master key
 */
export function slotFor(id: string, payload: Uint8Array, master: Uint8Array, type: 'user' | 'trusted' = 'user'): Slot {
  const wrapped = encryptKey(payload, { name: `${type}:assay-${id}`, payload: master });
  return { id, wrapped, fingerprint: toHex(digest('sha256', master)) };
}

/**
 * A TPM as protector.
 * @param byKernel the kernel unseals it, which satisfies no policy: the blob must have none
 */
export function tpmProtector(
  payload: Uint8Array,
  id: string,
  master: Uint8Array,
  {
    blob,
    policy,
    byKernel,
  }: { readonly blob: TrustedBlob; readonly policy: Policy | undefined; readonly byKernel: boolean },
): ProtectorOf<'tpm'> {
  const slot = slotFor(id, payload, master, byKernel ? 'trusted' : 'user');
  if (!byKernel) return { ...slot, kind: 'tpm', blob, policy };
  const fingerprint = toHex(digest('sha256', Buffer.from(encodeTrustedBlob(blob).toString('hex'))));
  return { ...slot, fingerprint, kind: 'tpm', blob, policy };
}

/** True where the kernel unseals the master key of a TPM protector. */
export const isUnsealedByKernel = ({ wrapped }: ProtectorOf<'tpm'>): boolean => wrapped.master.startsWith('trusted:');

/** @throws {KeyError} `key.wrong-secret` where it is another protector's master key */
export function unwrap(protector: Protector, master: Uint8Array): Buffer {
  try {
    return decryptKey(protector.wrapped, master);
  } catch (error) {
    if (!(error instanceof KeyError && error.code === 'key.wrong-master')) throw error;
    throw new KeyError(
      'key.wrong-secret',
      `${SECRETS[protector.kind]} is wrong, or protector ${protector.id} was changed`,
    );
  }
}

const SECRETS: Readonly<Record<ProtectorKind, string>> = {
  password: 'the password',
  recovery: 'the recovery code',
  usb: 'the key file on the removable device',
  token: 'the token’s key',
  tpm: 'what the TPM unsealed',
};

/** Argon2id takes a second or so. */
export function passwordProtector(payload: Uint8Array, password: string): ProtectorOf<'password'> {
  const id = newProtectorId('password');
  const kdf = newArgon2Parameters();
  return { ...slotFor(id, payload, passwordMaster(password, kdf)), kind: 'password', kdf };
}

/** @returns the code, which is shown once and kept nowhere; a secret */
export function recoveryProtector(payload: Uint8Array): { protector: ProtectorOf<'recovery'>; code: string } {
  const id = newProtectorId('recovery');
  const code = newRecoveryCode();
  return { protector: { ...slotFor(id, payload, recoveryMaster(code)), kind: 'recovery' }, code };
}

/** @throws {KeyError} `key.option` */
export function withProtector(key: ProtectedKey, protector: Protector): ProtectedKey {
  if (key.protectors.length >= MAX_PROTECTORS)
    throw new KeyError('key.option', `a key has at most ${MAX_PROTECTORS} protectors`);
  return { ...key, protectors: [...key.protectors, protector] };
}

/** @throws {KeyError} `key.option` where there is none of that name, or it is the last one */
export function withoutProtector(key: ProtectedKey, id: string): ProtectedKey {
  const protectors = key.protectors.filter((protector) => protector.id !== id);
  if (protectors.length === key.protectors.length) {
    throw new KeyError('key.option', `the key has no protector ${id}`, {
      advice: 'see `assay key protector list FILE`',
    });
  }
  if (protectors.length === 0) {
    throw new KeyError('key.option', `${id} is the key's last protector: nothing would open it any more`, {
      advice: 'add another one first',
    });
  }
  return { ...key, protectors };
}

/** Puts a protector in the place of the one with its id. */
export function replaceProtector(key: ProtectedKey, protector: Protector): ProtectedKey {
  return { ...key, protectors: key.protectors.map((one) => (one.id === protector.id ? protector : one)) };
}

/**
 * Whether two states of a file are of one key: a protector of both holds the same encrypted payload, whatever was added,
 * removed or sealed anew in between.
 */
export function isSameKey(one: ProtectedKey, other: ProtectedKey): boolean {
  const slotOf = ({ id, wrapped }: Protector): string => `${id} ${encodeEncryptedKey(wrapped)}`;
  const slots = new Set(one.protectors.map(slotOf));
  return one.size === other.size && other.protectors.some((protector) => slots.has(slotOf(protector)));
}
