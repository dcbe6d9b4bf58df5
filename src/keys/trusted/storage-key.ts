/** The storage root key, under which keys are sealed where no other is named. */
import {
  TPM_RH,
  TPM2_CreatePrimary,
  TPM2_EvictControl,
  TPM2_FlushContext,
  TPM2_ReadPublic,
  type TPMT_PUBLIC,
  type TpmClient,
  TpmError,
} from '../../tpm/index.ts';
import { KeyError } from '../error.ts';
import { isMissing } from './tpm-errors.ts';

/** Where machines keep it (TCG TPM v2.0 Provisioning Guidance, 7.5.1). */
export const STORAGE_ROOT_KEY = 0x81000001;

const NONE = new Uint8Array(0);

/** A storage key on P-256, which every TPM of a PC has; it needs no authorization value, and a wrong one locks nobody out. */
const TEMPLATE: TPMT_PUBLIC = {
  type: 'ecc',
  nameAlg: 'sha256',
  objectAttributes: {
    fixedTPM: true,
    fixedParent: true,
    sensitiveDataOrigin: true,
    userWithAuth: true,
    noDA: true,
    restricted: true,
    decrypt: true,
  },
  authPolicy: NONE,
  parameters: {
    symmetric: { algorithm: 'aes', keyBits: 128, mode: 'cfb' },
    scheme: { scheme: 'null' },
    curveID: 'p256',
    kdf: { scheme: 'null' },
  },
  unique: { x: Buffer.alloc(32), y: Buffer.alloc(32) },
};

/**
 * Makes a storage key in a TPM that nobody has provisioned; one that is there stays, of whatever kind it is.
 * @param handle persistent, of the owner's: 0x81000000 to 0x817fffff
 * @returns whether it was made
 * @throws {KeyError} `key.no-parent` where the TPM's owner has set a password
 */
export async function ensureStorageKey(tpm: TpmClient, handle = STORAGE_ROOT_KEY): Promise<boolean> {
  try {
    await tpm.execute(TPM2_ReadPublic, { objectHandle: handle });
    return false;
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  try {
    await makeStorageKey(tpm, handle);
    return true;
  } catch (cause) {
    if (!(cause instanceof TpmError) || cause.rc === undefined) throw cause;
    throw new KeyError('key.no-parent', `the TPM has no storage key, and does not make one: ${cause.message}`, {
      advice: `make one as its owner: tpm2_createprimary -C o -P … -c p.ctx, tpm2_evictcontrol -P … -c p.ctx 0x${handle.toString(16)}`,
      cause,
    });
  }
}

/**
 * Makes a storage key and keeps it in the TPM.
 * @param userAuth its authorization value, a secret
 * @throws {TpmError}
 */
export async function makeStorageKey(tpm: TpmClient, persistentHandle: number, userAuth = NONE): Promise<void> {
  const { objectHandle } = await tpm.execute(TPM2_CreatePrimary, {
    primaryHandle: TPM_RH.OWNER,
    inSensitive: { userAuth, data: NONE },
    inPublic: TEMPLATE,
    outsideInfo: NONE,
    creationPCR: [],
  });
  try {
    await tpm.execute(TPM2_EvictControl, { auth: TPM_RH.OWNER, objectHandle, persistentHandle });
  } finally {
    await tpm.execute(TPM2_FlushContext, { flushHandle: objectHandle });
  }
}
