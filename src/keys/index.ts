/** Trusted and encrypted keys: secrets that exist only on a machine in the right state. */
export {
  decryptKey,
  ENCRYPTED_FORMATS,
  type EncryptedFormat,
  type EncryptedKey,
  encodeEncryptedKey,
  encryptKey,
  looksEncrypted,
  type MasterName,
  parseEncryptedKey,
  parseMasterName,
  reencryptKey,
} from './encrypted-key.ts';
export { KeyError, type KeyErrorCode } from './error.ts';
export { encodePolicyFile, parsePolicyFile, policyOf } from './policy-file.ts';
export * from './protected/index.ts';
export { keepApproved, parseSignedPolicies, policyKeyArea, withApproved } from './signed-policy.ts';
export * from './trusted/index.ts';
