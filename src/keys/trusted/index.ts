export {
  encodeTrustedBlob,
  MAX_BLOB_SIZE,
  parseTrustedBlob,
  parseTrustedKey,
  type SealedArea,
  type TrustedBlob,
} from './blob.ts';
export {
  blobAuthOf,
  handleOf,
  keyAuthOf,
  parseTrustedOptions,
  TRUSTED_HASHES,
  type TrustedHash,
  type TrustedOptions,
} from './options.ts';
export {
  currentPcrValues,
  lockPcr,
  newPayload,
  type SealRequest,
  sealTrustedKey,
  TRUSTED_SIZES,
  type UnsealedKey,
  type UnsealRequest,
  unsealTrustedKey,
} from './seal.ts';
export { ensureStorageKey, makeStorageKey, STORAGE_ROOT_KEY } from './storage-key.ts';
