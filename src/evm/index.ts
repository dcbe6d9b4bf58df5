/** EVM: what `security.evm` protects, its HMAC and signatures, and the kernel's judgement of them. */
export {
  appraiseEvm,
  type EvmAppraisal,
  type EvmCause,
  type EvmFault,
  type EvmResult,
  type EvmStatus,
} from './appraise.ts';
export { EvmError, type EvmErrorCode } from './error.ts';
export {
  EVM_XATTRS,
  type EvmConfiguration,
  type EvmInputOptions,
  type EvmLayout,
  type EvmMetadata,
  evmInput,
  protectedXattrs,
} from './input.ts';
export { EVM_KEY_SIZE, evmDigest, evmHmac, hmacLabel, padEvmKey, signatureLabel } from './label.ts';
export { type LiveMetadata, type LiveOptions, readEvmMetadata } from './live.ts';
export { EVM_XATTR, type EvmLabel, encodeEvmHmac, encodeEvmSignature, parseEvmXattr } from './xattr.ts';
