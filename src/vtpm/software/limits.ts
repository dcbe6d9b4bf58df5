/** What this TPM implements and how much of it: libtpms' numbers, where there is no reason for others. */
import type { DigestAlgorithm } from '../../bytes/index.ts';

export const MAX_COMMAND_SIZE = 4096;
export const MAX_TRANSIENT = 3;
export const MAX_LOADED_SESSIONS = 3;
export const MAX_ACTIVE_SESSIONS = 64;
export const MAX_PERSISTENT = 64;
export const MAX_NV_INDICES = 64;
export const MAX_NV_INDEX_SIZE = 2048;
/** Bytes of NV contents and persistent objects together. */
export const NV_MEMORY = 128 * 1024;
export const NV_BUFFER_MAX = 1024;
export const PCR_COUNT = 24;

export const HASHES = ['sha1', 'sha256', 'sha384', 'sha512'] as const satisfies readonly DigestAlgorithm[];
export type ImplementedHash = (typeof HASHES)[number];

export function isImplementedHash(name: string): name is ImplementedHash {
  return HASHES.some((hash) => hash === name);
}

export const CURVES = ['p256', 'p384', 'p521'] as const;
export const RSA_KEY_BITS: readonly number[] = [2048, 3072];
export const AES_KEY_BITS: readonly number[] = [128, 192, 256];

/** CONTEXT_INTEGRITY_HASH_ALG: of tickets, saved contexts and the obfuscation of clocks. */
export const INTEGRITY_HASH = 'sha512';

export const MANUFACTURER = 'ASSY';
export const VENDOR_STRINGS = ['Soft', 'ware', ' TPM', ''] as const;
export const FIRMWARE_VERSION = { high: 0x20260101, low: 1 } as const;
