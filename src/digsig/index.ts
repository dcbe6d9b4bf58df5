/** The integrity subsystem's signatures: headers of formats 1, 2 and 3, key ids, keys, keyrings. */
export { type Blacklist, readBlacklist } from './blacklist.ts';
export { DeferredSignatures } from './deferred.ts';
export { DigsigError, type DigsigErrorCode } from './error.ts';
export { fileIdDigest } from './file-id.ts';
export {
  encodeSignature,
  parseSignature,
  type SignatureHeader,
  type SignatureV1,
  type SignatureV2,
} from './header.ts';
export { type KernelLimit, kernelLimit, kernelLimitById } from './kernel-limits.ts';
export { formatKeyId, type KeyId, keyId, parseKeyId, publicKeyV1 } from './key-id.ts';
export type { KeyKind } from './key-kind.ts';
export {
  type DigestToVerify,
  Keyring,
  type SignatureFault,
  type SignatureVerdict,
  verifySignature,
} from './keyring.ts';
export { type KeyringFolder, type KeyringFolderOptions, readKeyringFolder } from './keyring-folder.ts';
export {
  type AppendedSignature,
  MODSIG_TAIL_SIZE,
  modsigAlgorithm,
  modsigLength,
  signModsig,
  splitModsig,
  verifyAppended,
  verifyModsig,
} from './modsig.ts';
export { type IntegrityKey, type ReadKeysOptions, readPublicKeys } from './public-keys.ts';
export { signDigest, signDigestV1, signFileId } from './sign.ts';
export { type KeyFile, openSigner, type Signer, type SignerSource, type TokenKey } from './signer.ts';
export { verifyDigest } from './verify.ts';
