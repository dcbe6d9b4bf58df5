/** What the kernel says of a file's metadata (`security/integrity/evm/evm_main.c`, evm_verify_hmac), in its order of tests. */
import { bytesEqual, digestInfoByKernelId, ParseError } from '../bytes/index.ts';
import {
  type KernelLimit,
  type Keyring,
  kernelLimitById,
  type SignatureFault,
  type SignatureV2,
  verifySignature,
} from '../digsig/index.ts';
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
  | KernelLimit
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
  /** The kernel is one that knows format 3 for metadata; left out: one from 5.19 on that does not. See signedHeader. */
  readonly takesV3?: boolean;
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
  const signed = signedHeader(header, appraisal.takesV3 === true);
  const verdict = verifySignature(appraisal.keyring, signed, { algorithm, digest, type: xattr[0] ?? 0 });
  return verdict.valid ? kernelLimitById(verdict.key, algorithm) : verdict.fault;
}

/**
 * What format 3 in `security.evm` is over depends on the kernel (`security/integrity/digsig.c`, integrity_digsig_verify):
 * - before 5.19 the format is not known (EOPNOTSUPP), which evm_verify_hmac turns into a failure;
 * - from 5.19 on, 6.1 and 6.12 among them, `case 2` and `case 3` are one: the signature is over the digest itself, as
 *   format 2's is, for only ima_appraise.c made H(type ‖ algorithm ‖ digest), and only for what fs-verity gives;
 * - with asymmetric_verify_v3 (linux-integrity, March 2026: "ima: Define asymmetric_verify_v3() to verify IMA sigv3
 *   signatures", "ima: add regular file data hash signature version 3 support") it is over that hash, for the types 3, 5
 *   and 6, and EVM's bit 3 (EVM_SIGV3_REQUIRED) refuses format 2.
 * A guest of 6.1 and one of 6.12 bear the second out (test/guest/label-cases.ts).
 */
function signedHeader(header: SignatureV2, takesV3: boolean): SignatureV2 {
  return takesV3 ? header : { ...header, version: 2 };
}

function wellFormed(xattr: Uint8Array): EvmLabel | undefined {
  try {
    return parseEvmXattr(xattr);
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}
