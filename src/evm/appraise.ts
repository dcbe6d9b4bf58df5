/** What the kernel says of a file's metadata (`security/integrity/evm/evm_main.c`, evm_verify_hmac), in its order of tests. */
import { bytesEqual, digestInfoByKernelId, ParseError } from '../bytes/index.ts';
import { type Keyring, type SignatureFault, verifySignature } from '../digsig/index.ts';
import { type EvmConfiguration, type EvmMetadata, protectedXattrs } from './input.ts';
import { evmDigest, evmHmac } from './label.ts';
import { EVM_TYPE, type EvmLabel, parseEvmXattr } from './xattr.ts';

/** `enum integrity_status` in the words of `integrity_iint.c` and its audit records. */
export type EvmStatus = 'pass' | 'pass_immutable' | 'fail' | 'fail_immutable' | 'no_label' | 'no_xattrs' | 'unknown';

/** What IMA's audit record says of it (`ima_appraise.c`, ima_appraise_measurement). */
export type EvmCause = 'missing-HMAC' | 'invalid-HMAC' | 'invalid-fail-immutable';

/** What the kernel does not say. */
export type EvmFault =
  | SignatureFault
  /** The label is malformed: its size, type or version. */
  | 'malformed-label'
  /** An HMAC, and only certificates are loaded. */
  | 'no-hmac-key'
  /** A portable signature without `security.ima`. */
  | 'no-ima-label'
  | 'wrong-hmac';

export interface EvmResult {
  readonly status: EvmStatus;
  /** Undefined for `pass`, `pass_immutable` and `unknown`: IMA then goes on. */
  readonly cause?: EvmCause;
  readonly fault?: EvmFault;
}

export interface EvmAppraisal extends EvmConfiguration {
  /** Value of `security.evm`; undefined where there is none. */
  readonly xattr: Uint8Array | undefined;
  readonly metadata: EvmMetadata;
  /** Payload of the kernel's `evm-key`; undefined where none is loaded. */
  readonly hmacKey?: Uint8Array;
  /** The `.evm` keyring; undefined where none is loaded. */
  readonly keyring?: Keyring;
}

const CAUSE: Readonly<Partial<Record<EvmStatus, EvmCause>>> = {
  no_label: 'missing-HMAC',
  no_xattrs: 'missing-HMAC',
  fail: 'invalid-HMAC',
  fail_immutable: 'invalid-fail-immutable',
};

function result(status: EvmStatus, fault?: EvmFault): EvmResult {
  const cause = CAUSE[status];
  return { status, ...(cause === undefined ? {} : { cause }), ...(fault === undefined ? {} : { fault }) };
}

/** `sizeof(struct signature_v2_hdr)`, the type byte included: a label that is no longer holds no signature. */
const SIGNATURE_HEADER_SIZE = 9;

/**
 * @throws {EvmError} `evm.metadata`, `evm.key`: what was handed in cannot be judged by. Whatever the label holds gives a
 *   result.
 */
export function appraiseEvm(appraisal: EvmAppraisal): EvmResult {
  const { xattr, hmacKey, keyring } = appraisal;
  // evm_verifyxattr: without a key EVM is not on.
  if (hmacKey === undefined && keyring === undefined) return result('unknown');
  if (xattr === undefined) return result(hasProtected(appraisal) ? 'no_label' : 'no_xattrs');
  switch (xattr[0]) {
    case EVM_TYPE.hmac:
      return appraiseHmac(appraisal, xattr);
    case EVM_TYPE.signature:
    case EVM_TYPE.portable:
      return appraiseSignature(appraisal, xattr);
    default:
      return result('fail', 'malformed-label');
  }
}

/** evm_find_protected_xattrs asks for every name, also for those of modules that are not built in. */
function hasProtected({ metadata, extraXattrs }: EvmAppraisal): boolean {
  return protectedXattrs(metadata, extraXattrs === undefined ? {} : { extraXattrs }).length > 0;
}

function appraiseHmac(appraisal: EvmAppraisal, xattr: Uint8Array): EvmResult {
  const { hmacKey, metadata } = appraisal;
  if (xattr.length !== 21) return result('fail', 'malformed-label');
  if (hmacKey === undefined) return result('fail', 'no-hmac-key');
  if (protectedXattrs(metadata, appraisal).length === 0) return result('no_xattrs');
  const expected = evmHmac(hmacKey, metadata, appraisal);
  return bytesEqual(expected, xattr.subarray(1)) ? result('pass') : result('fail', 'wrong-hmac');
}

function appraiseSignature(appraisal: EvmAppraisal, xattr: Uint8Array): EvmResult {
  const portable = xattr[0] === EVM_TYPE.portable;
  const failed = portable ? 'fail_immutable' : 'fail';
  if (xattr.length <= SIGNATURE_HEADER_SIZE) return result('fail', 'malformed-label');
  const options = { ...appraisal, portable };
  // evm_calc_hash: the algorithm stands at this place whatever the version is, and comes before everything else.
  if (digestInfoByKernelId(xattr[2] ?? 0) === undefined) return result(failed, 'unsupported-algorithm');
  if (portable && !appraisal.metadata.xattrs.has('security.ima')) return result(failed, 'no-ima-label');
  if (protectedXattrs(appraisal.metadata, options).length === 0) return result('no_xattrs');
  const fault = signatureFault(appraisal, xattr, portable);
  if (fault !== undefined) return result(failed, fault);
  return result(portable ? 'pass_immutable' : 'pass');
}

function signatureFault(appraisal: EvmAppraisal, xattr: Uint8Array, portable: boolean): EvmFault | undefined {
  const label = wellFormed(xattr);
  // Format 1 has another byte where the kernel looks for the algorithm, so that none of it has verified since 4.16.
  if (label?.kind !== 'signature' || label.header.version === 1) return 'malformed-label';
  const { header } = label;
  if (header.algorithm === undefined) return 'unsupported-algorithm';
  if (appraisal.keyring === undefined) return 'unknown-key';
  const { algorithm } = header;
  const digest = evmDigest(algorithm, appraisal.metadata, { ...appraisal, portable });
  const verdict = verifySignature(appraisal.keyring, header, { algorithm, digest, type: xattr[0] ?? 0 });
  return verdict.valid ? undefined : verdict.fault;
}

function wellFormed(xattr: Uint8Array): EvmLabel | undefined {
  try {
    return parseEvmXattr(xattr);
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}
