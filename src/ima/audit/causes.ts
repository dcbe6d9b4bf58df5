/**
 * Every operation and cause that the integrity subsystem gives to the audit log, with what it means and what to do: the one
 * table from which the sentences of `assay ima audit` and docs/IMA-AUDIT.md are made. Pure data. Source: the calls of
 * integrity_audit_msg in `security/integrity` of Linux 6.12, and of kernels before and after it where the row says so.
 */
import type { AuditCause } from './cause.ts';
import { GUARD_CAUSES } from './guard-causes.ts';

const RELABEL = 'label it anew: assay label FILE';

const APPRAISE_DATA = {
  ...GUARD_CAUSES,
  'missing-hash': {
    weight: 'failure',
    meaning: 'The policy appraises the file, and it has no label (security.ima)',
    repair: `If its content is right, ${RELABEL}. Copies without extended attributes and files of packages that bring no labels have none.`,
  },
  'IMA-signature-required': {
    weight: 'failure',
    meaning: 'The policy wants a signature, and the file has no label or only a digest',
    repair:
      'Sign it: assay label FILE --sign KEY --cert CERTIFICATE. Or take appraise_type=imasig out of the rule that matches it.',
  },
  'verity-signature-required': {
    weight: 'failure',
    meaning: 'The policy wants a signature over the fs-verity digest, and the file has none',
    repair:
      'Enable fs-verity on the file and sign that digest (fsverity enable, evmctl sign_hash --veritysig). Or take digest_type=verity out of the rule.',
  },
  'missing-HMAC': {
    weight: 'failure',
    meaning: 'EVM is on, and the file has no security.evm that protects its metadata',
    repair:
      'If owner, mode and labels are right, write it: assay label FILE --evm hmac --evm-key KEY, or boot once with evm=fix ima_appraise=fix.',
  },
  'invalid-HMAC': {
    weight: 'failure',
    meaning:
      'Owner, group, mode or a security attribute is not what security.evm vouches for, or the EVM key is another one',
    repair:
      'Look what changed: assay appraise FILE --evm-key KEY. If it was meant, write security.evm anew with assay label FILE --evm hmac.',
  },
  'invalid-fail-immutable': {
    weight: 'failure',
    meaning:
      'The portable signature in security.evm does not stand: metadata changed, or its key is not in the keyring .evm',
    repair:
      'Give the file the owner, mode and labels of its package again (reinstall it), or load the certificate of the signer.',
  },
  'invalid-hash': {
    weight: 'failure',
    meaning:
      'The content is not what the label is the digest of: it was changed while nobody kept the label, or damaged',
    repair: `Restore the file from its package or a backup; if the change was meant, ${RELABEL}.`,
  },
  'invalid-signature': {
    weight: 'failure',
    meaning:
      'The signature does not stand: the content changed, or the key that signed is not in the keyring .ima or is blacklisted',
    repair:
      'See which: assay appraise FILE --key CERTIFICATE. Then restore the file, or load the certificate into .ima, or sign anew.',
  },
  'invalid-signature-version': {
    weight: 'failure',
    meaning: 'The label is a signature of a format that this kernel does not take there',
    repair: 'Sign it in format 2: assay label FILE --sign KEY.',
  },
  'sigv3-hashing-error': {
    weight: 'failure',
    meaning:
      'The kernel could not compute the digest that a signature of format 3 is over: a hash algorithm or memory is missing',
    repair: 'Sign with sha256, or load the module of the algorithm.',
  },
  'invalid-verity-signature': {
    weight: 'failure',
    meaning:
      'The signature over the fs-verity digest does not stand: another content, or a key that is not in the keyring .ima',
    repair: 'Restore the file, sign its fs-verity digest anew, or load the certificate of the signer into .ima.',
  },
  'unknown-ima-data': {
    weight: 'failure',
    meaning: 'The label (security.ima) is of a type that this kernel does not know',
    repair: `Look at it: assay label show FILE. Then ${RELABEL}.`,
  },
  'unverifiable-signature': {
    weight: 'failure',
    meaning:
      'The file system (FUSE) may show another content at every read, and the mount is not trusted or the policy says fail_securely',
    repair: 'Run the program from a local file system, or exclude this one by a rule dont_appraise before the others.',
  },
  unknown: {
    weight: 'failure',
    meaning:
      'The label could not be read or judged: an error of the file system, or a signature format or algorithm that the kernel lacks',
    repair:
      'Read it: assay label show FILE. If that fails look at the disk; if not, label or sign it with sha256 and format 2.',
  },
} as const satisfies Record<string, AuditCause>;

const COLLECT_DATA = {
  failed: {
    weight: 'failure',
    meaning: 'The kernel could not read the file to hash it, or has no memory or not the algorithm of its label',
    repair:
      'Read the file (cat FILE >/dev/null) and look at the kernel log for errors of the disk; load the module of the hash algorithm.',
  },
  'failed(directio)': {
    weight: 'failure',
    meaning: 'The file was opened with O_DIRECT, past the page cache, and so cannot be hashed',
    repair: 'Let the program open it without O_DIRECT, or say permit_directio in the rule that matches it.',
  },
  'no-verity-digest': {
    weight: 'failure',
    meaning: 'The policy wants the fs-verity digest, and fs-verity is not enabled on the file',
    repair: 'Enable it: fsverity enable FILE. Or take digest_type=verity out of the rule.',
  },
  'denied-hash-algorithm': {
    weight: 'failure',
    meaning: 'The label stands, and its hash algorithm is not among appraise_algos of the rule',
    repair: 'Label the file with one that the rule names: assay label FILE --hash sha256.',
  },
  'failed-mprotect': {
    weight: 'failure',
    weightIfDone: 'doubt',
    meaning:
      'A process made memory executable that it had mapped from a file without: too late to measure or appraise the file',
    repair:
      'Expected of some language runtimes; where the policy appraises MMAP_CHECK it is refused (res=0). Let the program map the file executable from the start.',
  },
} as const satisfies Record<string, AuditCause>;

const SET_DATA = {
  'unavailable-hash-algorithm': {
    weight: 'failure',
    meaning: 'A label was to be written whose hash algorithm this kernel does not have',
    repair: 'Use another: assay label FILE --hash sha256. Or load the module of the algorithm.',
  },
  'denied-hash-algorithm': {
    weight: 'failure',
    meaning: 'A label was to be written whose hash algorithm the policy (SETXATTR_CHECK) does not allow',
    repair: 'Use one that the rule names: assay label FILE --hash sha256.',
  },
} as const satisfies Record<string, AuditCause>;

const MMAP_FILE = {
  mmapped_writers: {
    weight: 'failure',
    meaning:
      'A file was to be mapped executable while a shared mapping of it can be written: it could change after it was appraised',
    repair: 'Find who has it mapped (lsof FILE), and let that process end or map it privately.',
  },
} as const satisfies Record<string, AuditCause>;

const METADATA = {
  fail: {
    weight: 'failure',
    meaning:
      'A change of owner, mode, ACL or a security attribute was refused: security.evm does not stand already now',
    repair:
      'See why: assay appraise FILE --evm-key KEY. Repair security.evm first (assay label FILE --evm hmac), or boot with evm=fix.',
  },
  fail_immutable: {
    weight: 'failure',
    meaning: 'A change of metadata was refused: the portable signature in security.evm does not stand',
    repair:
      'Give the file the metadata that were signed, or take security.evm away first: setfattr -x security.evm FILE.',
  },
  pass_immutable: {
    weight: 'failure',
    meaning:
      'A change of metadata was refused: a portable signature vouches for them as they are, and it could not follow',
    repair: 'If the change is meant, take security.evm away first and sign anew: assay label FILE --evm portable.',
  },
  no_label: {
    weight: 'failure',
    meaning: 'A change of metadata was refused: EVM is on, and the file has no security.evm',
    repair: 'Write it first: assay label FILE --evm hmac --evm-key KEY, or boot once with evm=fix.',
  },
  no_xattrs: {
    weight: 'failure',
    meaning: 'The file has none of the attributes that EVM protects, and one was to be written',
    repair:
      'Label files before EVM is turned on, or write security.evm too: assay label FILE --evm hmac --evm-key KEY.',
  },
  unknown: {
    weight: 'failure',
    meaning:
      'A change of metadata was refused: EVM could not judge the file, because its attributes cannot be read or its key is not loaded',
    repair: 'Look at them: assay label show FILE. Load the EVM key before such changes.',
  },
} as const satisfies Record<string, AuditCause>;

const NO_MEMORY = {
  weight: 'failure',
  meaning: 'The kernel had no memory for it',
  repair: 'Look what fills the memory. What was not measured is measured at its next use.',
} as const;

const NOT_ADDED: Readonly<Record<string, AuditCause>> = {
  ENOMEM: NO_MEMORY,
  hashing_error: {
    weight: 'failure',
    meaning:
      'The kernel could not compute a digest for the measurement list: a hash algorithm is missing, or the TPM did not answer',
    repair: 'Look at the kernel log for ima: and tpm:.',
  },
  alloc_entry: {
    weight: 'failure',
    meaning: 'The kernel could not make an entry of the measurement list',
    repair: 'Look at the kernel log for ima:; a policy with template= needs that template.',
  },
  store_entry: {
    weight: 'failure',
    meaning: 'The entry could not be added to the measurement list; one that is in it already is told so too',
    repair:
      'Look at the kernel log for ima: and tpm:. errno=-17 says that the same was measured before, which is in order.',
  },
};

const ADD_TEMPLATE_MEASURE: Readonly<Record<string, AuditCause>> = {
  hash_added: {
    weight: 'information',
    meaning: 'An entry was added to the measurement list (told where the kernel was started with integrity_audit=1)',
    repair: 'Nothing to do.',
  },
  hash_exists: {
    weight: 'information',
    meaning:
      'The same content was measured under this name before (told where the kernel was started with integrity_audit=1)',
    repair: 'Nothing to do.',
  },
  ENOMEM: NO_MEMORY,
  hashing_error: {
    weight: 'failure',
    meaning: 'The kernel could not compute the digest of an entry of the measurement list; the name is its template’s',
    repair: 'Look at the kernel log for ima:.',
  },
  'TPM_error(N)': {
    weight: 'failure',
    meaning:
      'The entry is in the measurement list, and the TPM did not take it: list and PCR no longer agree, no verifier trusts this boot',
    repair: 'Look at the kernel log for tpm:, and boot again.',
  },
  measurements_suspended: {
    weight: 'failure',
    meaning: 'The machine is going down, and nothing is measured any more (kernels after 6.12)',
    repair: 'Nothing to do.',
  },
};

const INVALID_PCR = {
  ToMToU: {
    weight: 'doubt',
    meaning:
      'A file was opened for writing while a process had it open that was measured with it: what it reads from now on is not what was measured',
    repair:
      'Replace files by renaming a new one over them. Leave files that are written all the time (logs, databases) out of the measure rules.',
  },
  open_writers: {
    weight: 'doubt',
    meaning:
      'A file was measured while another process had it open for writing: what was read may not be what was measured',
    repair:
      'Replace files by renaming a new one over them. Leave files that are written all the time (logs, databases) out of the measure rules.',
  },
} as const satisfies Record<string, AuditCause>;

const POLICY_UPDATE: Readonly<Record<string, AuditCause>> = {
  completed: {
    weight: 'information',
    meaning: 'The new policy is in force',
    repair: 'If nobody meant it, look who was root then: the record names the login.',
  },
  failed: {
    weight: 'failure',
    meaning: 'The new policy was refused as a whole; the old one stays',
    repair: 'Find the rule: assay ima policy check FILE. The records 1807 before this one name those that were read.',
  },
  'signed policy required': {
    weight: 'failure',
    meaning:
      'The policy itself is appraised (appraise func=POLICY_CHECK), and rules were written instead of the name of a signed file',
    repair:
      'Sign the file (assay label FILE --sign KEY) and write its absolute path into /sys/kernel/security/ima/policy.',
  },
  'already exists': {
    weight: 'failure',
    meaning: 'A policy was loaded before, and this kernel takes one only (kernels without CONFIG_IMA_WRITE_POLICY)',
    repair: 'Boot again to load another.',
  },
};

const UPDATE_POLICY: Readonly<Record<string, AuditCause>> = {
  'invalid-policy': {
    weight: 'failure',
    meaning: 'A rule was refused; none of the new rules is in force',
    repair:
      'The record 1807 before this one shows the rule as far as it was read. Check the file: assay ima policy check FILE.',
  },
  '-ENOMEM': NO_MEMORY,
  'already exists': {
    weight: 'failure',
    meaning: 'A policy was loaded before, and this kernel takes one only',
    repair: 'Boot again to load another.',
  },
};

/** `ima.h:__ima_hooks`, as func_measure_str gives them: what measures a buffer, not a file. */
const MEASURING = [
  'none',
  'file',
  'mmap',
  'mmap_reqprot',
  'bprm',
  'creds',
  'post_setattr',
  'module',
  'firmware',
  'kexec_kernel',
  'kexec_initramfs',
  'policy',
  'kexec_cmdline',
  'key',
  'critical_data',
  'setxattr_check',
];

const BUFFER: Readonly<Record<string, AuditCause>> = {
  ...NOT_ADDED,
  ima_template_desc_buf: {
    weight: 'failure',
    meaning: 'A buffer (a key, the kexec command line, critical data) could not be measured: its template is missing',
    repair: 'Look at the kernel log for ima:.',
  },
};

/** Operation → cause. `TPM_error(N)` stands for each number. */
export const AUDIT_CAUSES: Readonly<Record<string, Readonly<Record<string, AuditCause>>>> = {
  appraise_data: APPRAISE_DATA,
  collect_data: COLLECT_DATA,
  set_data: SET_DATA,
  mmap_file: MMAP_FILE,
  appraise_metadata: METADATA,
  update_metadata: METADATA,
  invalid_pcr: INVALID_PCR,
  add_template_measure: ADD_TEMPLATE_MEASURE,
  add_boot_aggregate: NOT_ADDED,
  ...Object.fromEntries(MEASURING.map((hook) => [`measuring_${hook}`, BUFFER])),
  policy_update: POLICY_UPDATE,
  update_policy: UPDATE_POLICY,
  ima_audit: {
    enabled: {
      weight: 'information',
      meaning: 'The kernel was started with ima_audit=1: it tells what it measures, too (old kernels)',
      repair: 'Nothing to do.',
    },
    not_enabled: {
      weight: 'information',
      meaning: 'The word ima_audit= of the kernel’s command line is off or no number (old kernels)',
      repair: 'Nothing to do.',
    },
  },
};

/** Causes that kernels of another age spell otherwise. */
const SPELLINGS: Readonly<Record<string, string>> = {
  'IMA signature required': 'IMA-signature-required',
  'invalid policy': 'invalid-policy',
};

/** @returns undefined for an operation or a cause that is not known here */
export function auditCause(op: string, cause: string): AuditCause | undefined {
  const causes = Object.hasOwn(AUDIT_CAUSES, op) ? AUDIT_CAUSES[op] : undefined;
  const name = Object.hasOwn(SPELLINGS, cause)
    ? SPELLINGS[cause]
    : cause.replace(/^TPM_error\(-?\d+\)$/, 'TPM_error(N)');
  return causes !== undefined && name !== undefined && Object.hasOwn(causes, name) ? causes[name] : undefined;
}
