/** Attribute sets: TPM 2.0 Part 2, chapter 8, and 13.4 for TPMA_NV. A name that is missing is CLEAR. */
import { attributes, type TypeOf, uint8, uint32 } from './codec.ts';

export const TPMA_OBJECT = attributes('TPMA_OBJECT', uint32, {
  fixedTPM: 1,
  stClear: 2,
  fixedParent: 4,
  sensitiveDataOrigin: 5,
  userWithAuth: 6,
  adminWithPolicy: 7,
  noDA: 10,
  encryptedDuplication: 11,
  restricted: 16,
  decrypt: 17,
  sign: 18,
  x509sign: 19,
});
export type TPMA_OBJECT = TypeOf<typeof TPMA_OBJECT>;

export const TPMA_SESSION = attributes('TPMA_SESSION', uint8, {
  continueSession: 0,
  auditExclusive: 1,
  auditReset: 2,
  decrypt: 5,
  encrypt: 6,
  audit: 7,
});
export type TPMA_SESSION = TypeOf<typeof TPMA_SESSION>;

/** Localities 0–4 are bits; 32–255 are the number itself, kept here in `extended` (its upper three bits). */
export const TPMA_LOCALITY = attributes('TPMA_LOCALITY', uint8, {
  zero: 0,
  one: 1,
  two: 2,
  three: 3,
  four: 4,
  extended: [5, 7],
});
export type TPMA_LOCALITY = TypeOf<typeof TPMA_LOCALITY>;

/** Names as tpm2-tools writes them (`tpm2_nvdefine -a "ownerread|ownerwrite"`); `nt` is a TPM_NT. */
export const TPMA_NV = attributes('TPMA_NV', uint32, {
  ppwrite: 0,
  ownerwrite: 1,
  authwrite: 2,
  policywrite: 3,
  nt: [4, 7],
  policydelete: 10,
  writelocked: 11,
  writeall: 12,
  writedefine: 13,
  write_stclear: 14,
  globallock: 15,
  ppread: 16,
  ownerread: 17,
  authread: 18,
  policyread: 19,
  no_da: 25,
  orderly: 26,
  clear_stclear: 27,
  readlocked: 28,
  written: 29,
  platformcreate: 30,
  read_stclear: 31,
});
export type TPMA_NV = TypeOf<typeof TPMA_NV>;

export const TPMA_ALGORITHM = attributes('TPMA_ALGORITHM', uint32, {
  asymmetric: 0,
  symmetric: 1,
  hash: 2,
  object: 3,
  signing: 8,
  encrypting: 9,
  method: 10,
});

export const TPMA_CC = attributes('TPMA_CC', uint32, {
  commandIndex: [0, 15],
  nv: 22,
  extensive: 23,
  flushed: 24,
  cHandles: [25, 27],
  rHandle: 28,
  V: 29,
});

/** The value of property TPM_PT.PERMANENT. */
export const TPMA_PERMANENT = attributes('TPMA_PERMANENT', uint32, {
  ownerAuthSet: 0,
  endorsementAuthSet: 1,
  lockoutAuthSet: 2,
  disableClear: 8,
  inLockout: 9,
  tpmGeneratedEPS: 10,
});

/** The value of property TPM_PT.STARTUP_CLEAR. */
export const TPMA_STARTUP_CLEAR = attributes('TPMA_STARTUP_CLEAR', uint32, {
  phEnable: 0,
  shEnable: 1,
  ehEnable: 2,
  phEnableNV: 3,
  readOnly: 4,
  orderly: 31,
});

export const TPMA_ACT = attributes('TPMA_ACT', uint32, { signaled: 0, preserveSignaled: 1 });
