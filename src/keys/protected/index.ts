export { type BootFile, bootFiles } from './boot-files.ts';
export { encodeProtectedKey, looksProtected, parseProtectedKey } from './key-file.ts';
export { masterText } from './master-text.ts';
export { type OpenedKey, type Openers, openProtectedKey } from './open.ts';
export { type Argon2Parameters, passwordMaster } from './password.ts';
export {
  isSameKey,
  isUnsealedByKernel,
  newProtectorId,
  type ProtectedKey,
  type Protector,
  type ProtectorKind,
  type ProtectorOf,
  passwordProtector,
  recoveryProtector,
  replaceProtector,
  slotFor,
  tpmProtector,
  unwrap,
  withoutProtector,
  withProtector,
} from './protected-key.ts';
export { recoveryMaster } from './recovery-code.ts';
export { keyFileMaster, placeKeyFile, removableMaster } from './removable-device.ts';
export { tokenMaster, tokenProtector } from './token.ts';
