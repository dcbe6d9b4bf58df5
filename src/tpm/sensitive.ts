/** Sensitive areas, credentials and contexts: TPM 2.0 Part 2, 11.1.15–16, 12.3, 12.4 and 14. */
import { TPM2B_AUTH, TPM2B_CONTEXT_DATA, TPM2B_DIGEST, TPM2B_SENSITIVE_DATA } from './buffers.ts';
import { remaining, sized, sizedOrEmpty, struct, type TypeOf, tagged, tpm2b, uint64 } from './codec.ts';
import { TPMI_ALG_PUBLIC, TPMI_DH_SAVED, TPMI_RH_HIERARCHY_NULL } from './constants.ts';
import { TPM2B_ECC_PARAMETER } from './public-area.ts';

/** A new object's authorization value and, for sealed data and imported keys, its content. */
export const TPMS_SENSITIVE_CREATE = struct('TPMS_SENSITIVE_CREATE', {
  userAuth: TPM2B_AUTH,
  data: TPM2B_SENSITIVE_DATA,
});
export type TPMS_SENSITIVE_CREATE = TypeOf<typeof TPMS_SENSITIVE_CREATE>;
export const TPM2B_SENSITIVE_CREATE = sized('TPM2B_SENSITIVE_CREATE', 'sensitive', TPMS_SENSITIVE_CREATE);

/** One prime factor; twice as long where a TPM keeps the CRT form. */
export const TPM2B_PRIVATE_KEY_RSA = tpm2b('TPM2B_PRIVATE_KEY_RSA', 512);
export const TPM2B_SYM_KEY = tpm2b('TPM2B_SYM_KEY', 32);

export const TPMT_SENSITIVE = tagged('TPMT_SENSITIVE', {
  selector: { sensitiveType: TPMI_ALG_PUBLIC },
  shared: { authValue: TPM2B_AUTH, seedValue: TPM2B_DIGEST },
  variants: {
    rsa: { sensitive: TPM2B_PRIVATE_KEY_RSA },
    ecc: { sensitive: TPM2B_ECC_PARAMETER },
    keyedhash: { sensitive: TPM2B_SENSITIVE_DATA },
    symcipher: { sensitive: TPM2B_SYM_KEY },
  },
});
export type TPMT_SENSITIVE = TypeOf<typeof TPMT_SENSITIVE>;
/** Empty in TPM2_LoadExternal of a public area alone. */
export const TPM2B_SENSITIVE = sizedOrEmpty('TPM2B_SENSITIVE', 'sensitiveArea', TPMT_SENSITIVE);

/**
 * What a credential blob holds (12.4.2): an HMAC over the rest, then an encrypted TPM2B_DIGEST. Its size is encrypted
 * with it, so that it stands here without one and reaches to the end.
 */
export const TPMS_ID_OBJECT = struct('TPMS_ID_OBJECT', {
  integrityHMAC: TPM2B_DIGEST,
  encIdentity: remaining('encIdentity', 66),
});
export type TPMS_ID_OBJECT = TypeOf<typeof TPMS_ID_OBJECT>;

export const TPMS_CONTEXT = struct('TPMS_CONTEXT', {
  sequence: uint64,
  savedHandle: TPMI_DH_SAVED,
  hierarchy: TPMI_RH_HIERARCHY_NULL,
  contextBlob: TPM2B_CONTEXT_DATA,
});
export type TPMS_CONTEXT = TypeOf<typeof TPMS_CONTEXT>;
