/** Numbers of swtpm's protocol (include/swtpm/tpm_ioctl.h; results are libtpms', include/libtpms/tpm_error.h). */

export const CMD = {
  GET_CAPABILITY: 0x01,
  INIT: 0x02,
  SHUTDOWN: 0x03,
  GET_TPMESTABLISHED: 0x04,
  SET_LOCALITY: 0x05,
  HASH_START: 0x06,
  HASH_DATA: 0x07,
  HASH_END: 0x08,
  CANCEL_TPM_CMD: 0x09,
  STORE_VOLATILE: 0x0a,
  RESET_TPMESTABLISHED: 0x0b,
  GET_STATEBLOB: 0x0c,
  SET_STATEBLOB: 0x0d,
  STOP: 0x0e,
  GET_CONFIG: 0x0f,
  SET_DATAFD: 0x10,
  SET_BUFFERSIZE: 0x11,
  GET_INFO: 0x12,
  LOCK_STORAGE: 0x13,
} as const;

/** PTM_CAP_*: what CMD_GET_CAPABILITY answers. */
export const CAPABILITY = {
  INIT: 1 << 0,
  SHUTDOWN: 1 << 1,
  GET_TPMESTABLISHED: 1 << 2,
  SET_LOCALITY: 1 << 3,
  HASHING: 1 << 4,
  CANCEL_TPM_CMD: 1 << 5,
  STORE_VOLATILE: 1 << 6,
  RESET_TPMESTABLISHED: 1 << 7,
  GET_STATEBLOB: 1 << 8,
  SET_STATEBLOB: 1 << 9,
  STOP: 1 << 10,
  GET_CONFIG: 1 << 11,
  SET_DATAFD: 1 << 12,
  SET_BUFFERSIZE: 1 << 13,
  GET_INFO: 1 << 14,
  SEND_COMMAND_HEADER: 1 << 15,
  LOCK_STORAGE: 1 << 16,
} as const;

/** TPM_RESULT, as the first word of every answer. */
export const RESULT = {
  SUCCESS: 0,
  BAD_PARAMETER: 0x03,
  FAIL: 0x09,
  BAD_ORDINAL: 0x0a,
  KEY_NOT_FOUND: 0x0d,
  IO_ERROR: 0x1f,
  BAD_TYPE: 0x34,
  BAD_LOCALITY: 0x3d,
  /** TPM_RC_FAILURE of TPM 2.0: what libtpms' initialization answers. */
  FAILURE: 0x101,
  /** There is no such state, which is no error. */
  RETRY: 0x800,
} as const;

export const INIT_FLAG_DELETE_VOLATILE = 1;

export const BLOB_TYPE = { PERMANENT: 1, VOLATILE: 2, SAVESTATE: 3 } as const;
export const STATE_FLAG = { DECRYPTED: 1, ENCRYPTED: 2 } as const;
export const CONFIG_FLAG = { FILE_KEY: 1, MIGRATION_KEY: 2 } as const;

export function uint32s(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, i * 4);
  return bytes;
}
