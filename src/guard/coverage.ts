/** What of a policy a guard at the door of the file system can hold, and what it leaves to a kernel with IMA. */
import { DUTY_OF, FUNCS, type PlacedRule, type PolicyFunc, type PolicyRule } from '../ima/policy/index.ts';
import type { PermissionKind } from '../sys/index.ts';

export interface PolicyCoverage {
  /** What file systems are to be marked for; none: no rule asks for anything that is seen here. */
  readonly kinds: readonly PermissionKind[];
  /** Some rule asks who accesses: uid, gid, or a security module's label of the process. */
  readonly asksSubject: boolean;
  /** Some rule asks for a security module's label of the file, or of the process. */
  readonly asksLabels: boolean;
  readonly notEnforced: readonly NotEnforced[];
}

/** A function that a rule names, or is about because it names none, of which nothing comes here. */
export interface NotEnforced {
  readonly source: string;
  readonly line: number;
  readonly func: PolicyFunc;
  readonly reason: string;
}

/** Hooks that have an event: an execution, with the program's own rights, and every other open. */
const SEEN: readonly PolicyFunc[] = ['FILE_CHECK', 'BPRM_CHECK', 'CREDS_CHECK'];

const READ_BY_KERNEL =
  'the kernel reads the file itself, which raises no event; only who opens it is asked (FILE_CHECK)';
const NO_FILE = 'it is about no file';

const REASONS: Readonly<Partial<Record<PolicyFunc, string>>> = {
  MMAP_CHECK: 'mapping a file raises no event; only who opens it is asked (FILE_CHECK)',
  MMAP_CHECK_REQPROT: 'mapping a file raises no event; only who opens it is asked (FILE_CHECK)',
  MODULE_CHECK: READ_BY_KERNEL,
  FIRMWARE_CHECK: READ_BY_KERNEL,
  KEXEC_KERNEL_CHECK: READ_BY_KERNEL,
  KEXEC_INITRAMFS_CHECK: READ_BY_KERNEL,
  POLICY_CHECK: 'the guard reads its own policy; a kernel without IMA has none',
  KEXEC_CMDLINE: NO_FILE,
  KEY_CHECK: NO_FILE,
  CRITICAL_DATA: NO_FILE,
  SETXATTR_CHECK: 'writing a label raises no event that could be refused',
};

/** Functions that a rule without one is about, too (ima_policy.c:ima_match_rules). */
const OWN: readonly PolicyFunc[] = ['KEY_CHECK', 'CRITICAL_DATA', 'SETXATTR_CHECK'];
const ANY_FILE = FUNCS.filter((func) => !OWN.includes(func) && func !== 'KEXEC_CMDLINE');

const asks = ({ action }: PolicyRule): boolean => DUTY_OF[action].isDone;
const funcsOf = ({ func }: PolicyRule): readonly PolicyFunc[] => (func === undefined ? ANY_FILE : [func]);

export function coverageOf(rules: readonly PlacedRule[]): PolicyCoverage {
  const asking = rules.filter(({ rule }) => asks(rule));
  const isOpen = asking.some(({ rule }) => isOfOpens(rule));
  const isExec = isOpen || asking.some(({ rule }) => isOfExecutions(rule));
  const all = rules.map(({ rule }) => rule);
  return {
    // An execution raises an event of each kind: without the first the second is not known to be one.
    kinds: isOpen ? ['exec', 'open'] : isExec ? ['exec'] : [],
    asksSubject: all.some(asksSubject),
    asksLabels: all.some(({ labels }) => labels !== undefined),
    notEnforced: asking.flatMap(({ rule, source, line }) =>
      funcsOf(rule).flatMap((func) => {
        const reason = REASONS[func];
        return reason === undefined ? [] : [{ source, line, func, reason }];
      }),
    ),
  };
}

const NO_LABELS =
  'it asks for labels of SELinux, which is not active here: the rule never matches (in a kernel neither)';

/**
 * Rules that ask for a security module's labels where none gives any. A kernel takes them with a warning, and they never match
 * (ima_policy.c:ima_lsm_rule_init, ima_match_rules).
 */
export function withoutLabels(rules: readonly PlacedRule[]): NotEnforced[] {
  return rules
    .filter(({ rule }) => rule.labels !== undefined)
    .flatMap(({ rule, source, line }) =>
      funcsOf(rule)
        .filter((func) => SEEN.includes(func))
        .map((func) => ({ source, line, func, reason: NO_LABELS })),
    );
}

/** An execution is FILE_CHECK too, with MAY_EXEC alone (fs/namei.c:do_open). */
function isOfExecutions(rule: PolicyRule): boolean {
  const isSeen = funcsOf(rule).some((func) => SEEN.includes(func));
  return isSeen && (rule.mask === undefined || rule.mask.access === 'MAY_EXEC');
}

function isOfOpens(rule: PolicyRule): boolean {
  return funcsOf(rule).includes('FILE_CHECK') && rule.mask?.access !== 'MAY_EXEC';
}

function asksSubject({ user, group, labels = {} }: PolicyRule): boolean {
  return user !== undefined || group !== undefined || Object.keys(labels).some((name) => name.startsWith('subj_'));
}
