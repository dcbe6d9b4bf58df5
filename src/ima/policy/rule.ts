/** The rules of an IMA policy as values (kernel: security/integrity/ima/ima_policy.c:struct ima_rule_entry). */
import type { AppraiseType } from '../appraise.ts';

export const ACTIONS = [
  'measure',
  'dont_measure',
  'appraise',
  'dont_appraise',
  'audit',
  'dont_audit',
  'hash',
  'dont_hash',
] as const;
export type PolicyAction = (typeof ACTIONS)[number];

/** What a rule is about: `dont_measure` is about `measure`. The first rule of each that matches decides. */
export const DUTIES = ['measure', 'appraise', 'audit', 'hash'] as const;
export type Duty = (typeof DUTIES)[number];

/** The duty that an action is about, and whether it asks for it or forbids it. */
export const DUTY_OF: Readonly<Record<PolicyAction, { readonly duty: Duty; readonly isDone: boolean }>> = {
  measure: { duty: 'measure', isDone: true },
  dont_measure: { duty: 'measure', isDone: false },
  appraise: { duty: 'appraise', isDone: true },
  dont_appraise: { duty: 'appraise', isDone: false },
  audit: { duty: 'audit', isDone: true },
  dont_audit: { duty: 'audit', isDone: false },
  hash: { duty: 'hash', isDone: true },
  dont_hash: { duty: 'hash', isDone: false },
};

/** Hooks that a rule can name (ima.h:__ima_hooks). PATH_CHECK and FILE_MMAP are older names, see {@link FUNC_ALIASES}. */
export const FUNCS = [
  'FILE_CHECK',
  'MMAP_CHECK',
  'MMAP_CHECK_REQPROT',
  'BPRM_CHECK',
  'CREDS_CHECK',
  'MODULE_CHECK',
  'FIRMWARE_CHECK',
  'KEXEC_KERNEL_CHECK',
  'KEXEC_INITRAMFS_CHECK',
  'POLICY_CHECK',
  'KEXEC_CMDLINE',
  'KEY_CHECK',
  'CRITICAL_DATA',
  'SETXATTR_CHECK',
] as const;
export type PolicyFunc = (typeof FUNCS)[number];

export const FUNC_ALIASES: ReadonlyMap<string, PolicyFunc> = new Map([
  ['PATH_CHECK', 'FILE_CHECK'],
  ['FILE_MMAP', 'MMAP_CHECK'],
]);

/** include/linux/fs.h. `MAY_ACCESS` is asked for where a file is made (ima_main.c:ima_post_path_mknod); no rule can name it. */
export const MAY = { MAY_EXEC: 1, MAY_WRITE: 2, MAY_READ: 4, MAY_APPEND: 8, MAY_ACCESS: 16 } as const;
export type MaskName = 'MAY_EXEC' | 'MAY_WRITE' | 'MAY_READ' | 'MAY_APPEND';
export const MASK_NAMES: readonly MaskName[] = ['MAY_EXEC', 'MAY_WRITE', 'MAY_READ', 'MAY_APPEND'];

export interface MaskCondition {
  readonly access: MaskName;
  /** `^`: it is among what is asked for. Without, it is all that is asked for: `MAY_READ` is no read-write open. */
  readonly isAmong: boolean;
}

export type IdOperator = '=' | '<' | '>';

export interface IdCondition {
  readonly id: number;
  readonly operator: IdOperator;
}

/** `uid` and `euid` share one place in the kernel's rule, as `gid` and `egid` do: a rule has one of the two. */
export interface CredentialCondition extends IdCondition {
  /** `euid`, `egid`: the effective one; of who has CAP_SETUID (CAP_SETGID) also the saved and the real one. */
  readonly isEffective: boolean;
}

export const LABEL_CONDITIONS = ['obj_user', 'obj_role', 'obj_type', 'subj_user', 'subj_role', 'subj_type'] as const;
export type LabelCondition = (typeof LABEL_CONDITIONS)[number];

/** One rule. What is absent was not said; strings are as written, stray bytes as `decodePath` gives them. */
export interface PolicyRule {
  readonly action: PolicyAction;
  readonly func?: PolicyFunc;
  readonly mask?: MaskCondition;
  /** `unsigned long`: up to 64 bits. */
  readonly fsmagic?: bigint;
  readonly fsname?: string;
  readonly fsSubtype?: string;
  /** Lower case, with its hyphens. */
  readonly fsuuid?: string;
  readonly user?: CredentialCondition;
  readonly group?: CredentialCondition;
  readonly fowner?: IdCondition;
  readonly fgroup?: IdCondition;
  /** Conditions of the security module (SELinux, Smack, AppArmor), by their tokens. */
  readonly labels?: Readonly<Partial<Record<LabelCondition, string>>>;
  readonly digestType?: 'verity';
  readonly appraiseType?: Exclude<AppraiseType, 'hash'>;
  /** Kept as written; ignored since 6.6. */
  readonly appraiseFlag?: string;
  /** Kernel names, in the order of `enum hash_algo`, each once. */
  readonly appraiseAlgos?: readonly string[];
  readonly permitDirectio?: true;
  readonly pcr?: number;
  readonly template?: string;
  /** Of KEY_CHECK. */
  readonly keyrings?: readonly string[];
  /** Of CRITICAL_DATA. */
  readonly label?: readonly string[];
}

/** A rule and where it stands. */
export interface PlacedRule {
  readonly rule: PolicyRule;
  /** The file or the built-in policy that it is of: `policy`, `tcb`, `arch`. */
  readonly source: string;
  /** From 1. */
  readonly line: number;
}

/** The tokens that may stand in a rule beside its action; `uid` and `euid` are one condition, and stand for all operators. */
export type PolicyOption =
  | 'func'
  | 'mask'
  | 'fsmagic'
  | 'fsname'
  | 'fs_subtype'
  | 'fsuuid'
  | 'uid'
  | 'euid'
  | 'gid'
  | 'egid'
  | 'fowner'
  | 'fgroup'
  | LabelCondition
  | 'digest_type'
  | 'appraise_type'
  | 'appraise_flag'
  | 'appraise_algos'
  | 'permit_directio'
  | 'pcr'
  | 'template'
  | 'keyrings'
  | 'label';
