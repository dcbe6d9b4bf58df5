/** How much of everything this TPM has: libtpms' numbers, where there is no reason for others. */
import type { DigestAlgorithm } from '../../bytes/index.ts';

export const MAX_COMMAND_SIZE = 4096;
export const MAX_TRANSIENT = 3;
export const MAX_LOADED_SESSIONS = 3;
export const MAX_ACTIVE_SESSIONS = 64;
/** How far the oldest saved session may fall behind (TPM_PT.CONTEXT_GAP_MAX). */
export const CONTEXT_GAP = 0xffff;
/** No more can be in NV memory than this; `nv-memory.ts` tells what fits. */
export const MAX_PERSISTENT = 66;
export const MAX_NV_INDICES = 1131;
export const MAX_NV_INDEX_SIZE = 2048;
export const NV_BUFFER_MAX = 1024;
export const PCR_COUNT = 24;
/** Bits of the array of commitments that are open (TPM_PT.SPLIT_MAX). */
export const SPLIT_MAX = 128;
/** Increments of an orderly counter between two writes to NV memory (TPM_PT.ORDERLY_COUNT). */
export const ORDERLY_COUNT = 255;
/** Milliseconds between two writes of the clock to NV memory (TPM_PT.CLOCK_UPDATE). */
export const CLOCK_UPDATE = 4096;

export const HASHES = ['sha1', 'sha256', 'sha384', 'sha512'] as const satisfies readonly DigestAlgorithm[];
export type ImplementedHash = (typeof HASHES)[number];

export function isImplementedHash(name: string): name is ImplementedHash {
  return HASHES.some((hash) => hash === name);
}

export const RSA_KEY_BITS: readonly number[] = [1024, 2048, 3072];

/** CONTEXT_INTEGRITY_HASH_ALG: of tickets, saved contexts and the obfuscation of clocks. */
export const INTEGRITY_HASH = 'sha512';
export const INTEGRITY_SIZE = 64;
/** Of seeds and proofs. */
export const SECRET_SIZE = 64;

export const MANUFACTURER = 'ASSY';
export const VENDOR_STRINGS = ['Soft', 'ware', ' TPM', ''] as const;
export const FIRMWARE_VERSION = { high: 0x20260101, low: 1 } as const;
