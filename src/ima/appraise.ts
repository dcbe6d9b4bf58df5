/** What the kernel says of a file's content (`security/integrity/ima/ima_appraise.c`), in its order of tests. */
import { type DigestAlgorithm, ParseError } from '../bytes/index.ts';
import {
  type DeferredSignatures,
  type KernelLimit,
  type Keyring,
  kernelLimitById,
  type SignatureFault,
  verifySignature,
} from '../digsig/index.ts';
import { IMA_TYPE, imaHashAlgorithm, parseImaXattr } from './security-ima.ts';

/** `enum integrity_status`, as EVM has it too. */
export type ImaStatus = 'pass' | 'pass_immutable' | 'fail' | 'fail_immutable' | 'no_label' | 'no_xattrs' | 'unknown';

/** `cause=` of the kernel's audit record. */
export type ImaCause =
  | 'missing-hash'
  | 'IMA-signature-required'
  | 'verity-signature-required'
  | 'no-verity-digest'
  | 'missing-HMAC'
  | 'invalid-HMAC'
  | 'invalid-fail-immutable'
  | 'invalid-hash'
  | 'invalid-signature'
  | 'invalid-signature-version'
  | 'invalid-verity-signature'
  | 'unknown-ima-data'
  | 'unverifiable-signature'
  /** No audit record: the file is refused before it is appraised, and measured under this name (ima_check_blacklist). */
  | 'blacklisted-hash'
  | 'unknown';

/** What the kernel does not say. */
export type ImaFault = SignatureFault | KernelLimit | 'malformed-label';

/** `appraise_type=` of the policy; `hash` where the rule names none. `sigv3` goes with `digest_type=verity`. */
export type AppraiseType = 'hash' | 'imasig' | 'imasig|modsig' | 'sigv3';

export interface ImaAppraisal {
  /** Value of `security.ima`; undefined where there is none. */
  readonly xattr: Uint8Array | undefined;
  readonly type: AppraiseType;
  /** H(content). Asked for by one algorithm alone, and only where it counts. */
  readonly fileDigest: (algorithm: DigestAlgorithm) => Uint8Array;
  /** The digest that fs-verity gives; undefined where the file has none. */
  readonly verityDigest?: { readonly algorithm: DigestAlgorithm; readonly digest: Uint8Array };
  /** Undefined where the file has none that can be parsed, which is no error (ima_read_modsig). Asked only under `imasig|modsig`. */
  readonly modsig?: AppendedJudge;
  /** The `.ima` keyring. */
  readonly keyring: Keyring;
  /**
   * Where given, a signature may be deferred: `pass` then holds if it is valid, and the file is to be judged again without
   * these if it is not.
   */
  readonly deferred?: DeferredSignatures;
  /**
   * The kernel's blacklist of hashes (`bin:` in its keyring `.blacklist`). Asked where the rule wants a signature: from 6.6
   * on; before, only under `imasig|modsig` with `appraise_flag=check_blacklist` (ima_parse_rule).
   */
  readonly isBlacklisted?: (digest: Uint8Array) => boolean;
  /** What EVM says; left out: EVM is not on. */
  readonly evmStatus?: ImaStatus;
  /** `ima_hash=`: with what a file without a label is hashed, and one whose label has format 1. */
  readonly imaHash?: DigestAlgorithm;
  /**
   * Format 3 in an attribute of type 03. 6.1 and 6.12 refuse every version from 3 on there (`invalid-signature-version`);
   * since "ima: add regular file data hash signature version 3 support" (linux-integrity, March 2026) `imasig` takes
   * formats 2 and 3, `invalid-signature-version` begins at 4, and a type 06 of another format than 3 still has it. The
   * label's hash algorithm counts for format 3 since "ima_get_hash_algo() … version 3 must be accepted" (April 2026).
   */
  readonly takesFileV3?: boolean;
  /** The file system is one that cannot vouch for signatures (FUSE), and the policy says `fail_securely`. */
  readonly isUnverifiable?: boolean;
}

/** The signature that is appended to a file. */
export interface AppendedJudge {
  /** Judged by the keys of the `.ima` keyring; undefined where it stands. Asked at most once. */
  readonly fault: () => ImaFault | undefined;
  /** H(what stands before the signature) by the signature's algorithm; undefined where that cannot be computed here. */
  readonly digest: () => Uint8Array | undefined;
}

export interface ImaResult {
  readonly status: ImaStatus;
  /** Undefined for `pass`. */
  readonly cause?: ImaCause;
  readonly fault?: ImaFault;
  /** `op=` of the audit record. */
  readonly op: 'appraise_data' | 'collect_data';
}

const PASS: ImaResult = { status: 'pass', op: 'appraise_data' };

const fail = (status: ImaStatus, cause: ImaCause, fault?: ImaFault): ImaResult => ({
  status,
  cause,
  ...(fault === undefined ? {} : { fault }),
  op: 'appraise_data',
});

/** Judges by `security.ima`. Whatever the label holds gives a result. The file is never one that was just created. */
export function appraiseIma(appraisal: ImaAppraisal): ImaResult {
  // ima_collect_measurement comes first, whatever the label is.
  if (appraisal.type === 'sigv3' && appraisal.verityDigest === undefined) {
    return { status: 'fail', cause: 'no-verity-digest', op: 'collect_data' };
  }
  if (hasBlacklistedHash(appraisal)) return fail('fail', 'blacklisted-hash');
  const result = appraiseMeasurement(appraisal);
  return appraisal.isUnverifiable === true ? fail('fail', 'unverifiable-signature') : result;
}

/** ima_check_blacklist: of the signed content where a signature is appended, else of the whole file. */
function hasBlacklistedHash(appraisal: ImaAppraisal): boolean {
  const { type, isBlacklisted, modsig, xattr } = appraisal;
  if (isBlacklisted === undefined || type === 'hash') return false;
  const isAppended = type === 'imasig|modsig' && modsig !== undefined;
  const digest = isAppended ? modsig.digest() : measured(appraisal, xattr ?? new Uint8Array())?.digest;
  return digest !== undefined && isBlacklisted(digest);
}

/** ima_appraise_measurement. */
function appraiseMeasurement(appraisal: ImaAppraisal): ImaResult {
  const { xattr, type, modsig } = appraisal;
  const label = xattr === undefined || xattr.length === 0 ? undefined : xattr;
  const tryModsig = type === 'imasig|modsig' ? modsig : undefined;
  if (label === undefined && tryModsig === undefined) return fail('no_label', MISSING[type]);
  const evm = evmRefusal(appraisal.evmStatus ?? 'unknown', tryModsig !== undefined);
  if (evm !== undefined) return evm;
  const byXattr = label === undefined ? undefined : verifyXattr(appraisal, label);
  if (tryModsig === undefined) return byXattr ?? fail('unknown', 'unknown');
  // An appended signature is looked at where there is no signature in the label, or none whose key is known.
  const decides = byXattr === undefined || label?.[0] === IMA_TYPE.digest || byXattr.fault === 'unknown-key';
  if (!decides && byXattr !== undefined) return byXattr;
  const fault = tryModsig.fault();
  return fault === undefined ? PASS : fail('fail', 'invalid-signature', fault);
}

const MISSING: Readonly<Record<AppraiseType, ImaCause>> = {
  hash: 'missing-hash',
  imasig: 'IMA-signature-required',
  'imasig|modsig': 'IMA-signature-required',
  sigv3: 'verity-signature-required',
};

function evmRefusal(status: ImaStatus, hasModsig: boolean): ImaResult | undefined {
  switch (status) {
    case 'pass':
    case 'pass_immutable':
    case 'unknown':
      return undefined;
    case 'no_xattrs':
      return hasModsig ? undefined : fail(status, 'missing-HMAC');
    case 'no_label':
      return fail(status, 'missing-HMAC');
    case 'fail_immutable':
      return fail(status, 'invalid-fail-immutable');
    case 'fail':
      return fail(status, 'invalid-HMAC');
  }
}

/** xattr_verify. */
function verifyXattr(appraisal: ImaAppraisal, xattr: Uint8Array): ImaResult {
  switch (xattr[0]) {
    case IMA_TYPE.digest:
      return verifyHash(appraisal, xattr, 2);
    case IMA_TYPE.legacyDigest:
      return verifyHash(appraisal, xattr, 1);
    case IMA_TYPE.signature:
      return verifyFileSignature(appraisal, xattr);
    case IMA_TYPE.veritySignature:
      return verifyVeritySignature(appraisal, xattr);
    default:
      return fail('unknown', 'unknown-ima-data');
  }
}

interface Measured {
  readonly algorithm: DigestAlgorithm;
  readonly digest: Uint8Array;
}

/** What was collected of the file: fs-verity's digest where the rule says so, else H(content). */
function measured(
  { type, verityDigest, fileDigest, imaHash, takesFileV3 }: ImaAppraisal,
  xattr: Uint8Array,
): Measured | undefined {
  const algorithm = imaHashAlgorithm(xattr, imaHash ?? 'sha256', takesFileV3);
  if (type === 'sigv3') return verityDigest?.algorithm === algorithm ? verityDigest : undefined;
  return algorithm === undefined ? undefined : { algorithm, digest: fileDigest(algorithm) };
}

/** Under a portable EVM signature the digest is as good as signed. Bytes behind the digest are not looked at. */
function verifyHash(appraisal: ImaAppraisal, xattr: Uint8Array, start: number): ImaResult {
  if (appraisal.evmStatus !== 'pass_immutable' && appraisal.type !== 'hash')
    return fail('fail', MISSING[appraisal.type]);
  const file = measured(appraisal, xattr);
  if (file === undefined) return fail('fail', 'invalid-hash', 'unsupported-algorithm');
  const digest = xattr.subarray(start, start + file.digest.length);
  return Buffer.compare(digest, file.digest) === 0 ? PASS : fail('fail', 'invalid-hash');
}

function verifyFileSignature(appraisal: ImaAppraisal, xattr: Uint8Array): ImaResult {
  if (appraisal.type === 'sigv3') return fail('fail', 'verity-signature-required');
  const version = xattr[1];
  if (version !== undefined && version >= (appraisal.takesFileV3 === true ? 4 : 3)) {
    return fail('fail', 'invalid-signature-version');
  }
  // integrity_digsig_verify does not know version 0 (EOPNOTSUPP), and the cause stays what it was.
  if (version === 0) return fail('unknown', 'unknown', 'malformed-label');
  return judgeSignature(appraisal, xattr, 'invalid-signature');
}

function verifyVeritySignature(appraisal: ImaAppraisal, xattr: Uint8Array): ImaResult {
  if (appraisal.type !== 'hash' && appraisal.type !== 'sigv3') return fail('fail', 'IMA-signature-required');
  if (xattr[1] !== 3) return fail('fail', 'invalid-signature-version');
  return judgeSignature(appraisal, xattr, 'invalid-verity-signature');
}

function judgeSignature(
  appraisal: ImaAppraisal,
  xattr: Uint8Array,
  cause: 'invalid-signature' | 'invalid-verity-signature',
): ImaResult {
  const label = wellFormed(xattr);
  if (label?.kind !== 'signature') return fail('fail', cause, 'malformed-label');
  const file = measured(appraisal, xattr);
  if (file === undefined) return fail('fail', cause, 'unsupported-algorithm');
  const { keyring, deferred } = appraisal;
  const verdict = verifySignature(keyring, label.header, { ...file, type: xattr[0] ?? 0 }, deferred);
  if (!verdict.valid) return fail('fail', cause, verdict.fault);
  // Format 1 has keys and arithmetic of its own (lib/digsig.c).
  const limit = label.header.version === 1 ? undefined : kernelLimitById(verdict.key, file.algorithm);
  return limit === undefined ? PASS : fail('fail', cause, limit);
}

function wellFormed(xattr: Uint8Array): ReturnType<typeof parseImaXattr> | undefined {
  try {
    return parseImaXattr(xattr);
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}
