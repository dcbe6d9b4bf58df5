/**
 * What a policy wants done with an access: of the rules of each duty the first that matches decides (kernel:
 * ima_policy.c:ima_match_policy). IMA asks for regular files alone (ima_main.c:process_measurement), and for nothing where
 * no rule of a duty asks for it; both hold here too, the first by the caller.
 */
import type { AppraiseType } from '../appraise.ts';
import type { PolicyAccess } from './access.ts';
import { type Condition, conditionsOf } from './condition.ts';
import { DUTY_OF, type Duty, type PlacedRule, type PolicyFunc, type PolicyRule } from './rule.ts';

export interface CompileOptions {
  /** `ima_policy=fail_securely`: what a file system cannot vouch for (FUSE) fails. */
  readonly failSecurely?: boolean;
  /** `ima_appraise=off`: rules for appraisal are not looked at. */
  readonly appraiseOff?: boolean;
}

/** A policy made ready for many decisions. */
export interface CompiledPolicy {
  /** In their order. */
  readonly rules: readonly CompiledRule[];
  /** Duties that some rule asks for (ima_policy_flag). */
  readonly duties: ReadonlySet<Duty>;
  readonly failSecurely: boolean;
  /** By function, the rules that it can match, in their order. */
  readonly byFunc: Readonly<Record<PolicyFunc, readonly CompiledRule[]>>;
  /** Algorithms that a label set by setxattr(2) may have, by the first SETXATTR_CHECK rule; undefined: all. */
  readonly setxattrAlgos: readonly string[] | undefined;
}

export interface CompiledRule {
  readonly placed: PlacedRule;
  readonly duty: Duty;
  readonly isDone: boolean;
  readonly conditions: readonly Condition[];
  /** `fsmagic=` once more: most rules of most policies are exceptions by it, which this spares the call. */
  readonly magic: number | undefined;
}

/** What is to be done, and the rule of each duty that said so, be it a `dont_` rule; absent: no rule matched. */
export interface Decision {
  readonly rules: Readonly<Partial<Record<Duty, PlacedRule>>>;
  readonly measure: boolean;
  readonly appraise: boolean;
  readonly audit: boolean;
  /** Not where it is appraised by a rule that stands behind the one for the hash. */
  readonly hash: boolean;
  /** What the label has to be, where it is appraised. The kernel takes it from all rules that matched, not only that of appraisal. */
  readonly appraiseType: AppraiseType;
  /** fs-verity's digest stands for the content's, measured or appraised. */
  readonly verity: boolean;
  readonly permitDirectio: boolean;
  /** Algorithms of the label that are taken; undefined: all. */
  readonly appraiseAlgos: readonly string[] | undefined;
  /** Of the rule that measures; undefined: CONFIG_IMA_MEASURE_PCR_IDX, which is 10. */
  readonly pcr: number | undefined;
  /** Of the rule that measures; undefined: the kernel's default (for buffers `ima-buf`). */
  readonly template: string | undefined;
  readonly failUnverifiable: boolean;
}

/** Looks the rules through once, so that each decision asks only those that can match. */
export function compilePolicy(rules: readonly PlacedRule[], options: CompileOptions = {}): CompiledPolicy {
  const duties = dutiesOf(rules, options);
  const compiled = rules.map(
    (placed): CompiledRule => ({
      placed,
      ...DUTY_OF[placed.rule.action],
      conditions: conditionsOf(placed.rule),
      magic: placed.rule.fsmagic === undefined ? undefined : Number(placed.rule.fsmagic),
    }),
  );
  const byFunc = (func: PolicyFunc): CompiledRule[] =>
    compiled.filter((rule) => duties.has(rule.duty) && isOfFunc(rule.placed.rule, func));
  return {
    rules: compiled,
    duties,
    failSecurely: options.failSecurely === true,
    byFunc: {
      FILE_CHECK: byFunc('FILE_CHECK'),
      MMAP_CHECK: byFunc('MMAP_CHECK'),
      MMAP_CHECK_REQPROT: byFunc('MMAP_CHECK_REQPROT'),
      BPRM_CHECK: byFunc('BPRM_CHECK'),
      CREDS_CHECK: byFunc('CREDS_CHECK'),
      MODULE_CHECK: byFunc('MODULE_CHECK'),
      FIRMWARE_CHECK: byFunc('FIRMWARE_CHECK'),
      KEXEC_KERNEL_CHECK: byFunc('KEXEC_KERNEL_CHECK'),
      KEXEC_INITRAMFS_CHECK: byFunc('KEXEC_INITRAMFS_CHECK'),
      POLICY_CHECK: byFunc('POLICY_CHECK'),
      KEXEC_CMDLINE: byFunc('KEXEC_CMDLINE'),
      KEY_CHECK: byFunc('KEY_CHECK'),
      CRITICAL_DATA: byFunc('CRITICAL_DATA'),
      SETXATTR_CHECK: [],
    },
    setxattrAlgos: rules.find(({ rule }) => rule.func === 'SETXATTR_CHECK')?.rule.appraiseAlgos,
  };
}

/** ima_match_rules: a rule without a function is of every function but two. setxattr(2) asks no rule. */
export function isOfFunc({ func: wanted }: PolicyRule, func: PolicyFunc): boolean {
  if (func === 'SETXATTR_CHECK') return false;
  return wanted === func || (wanted === undefined && func !== 'KEY_CHECK' && func !== 'CRITICAL_DATA');
}

/** ima_update_policy_flags: a duty that no rule asks for is not looked at; one for setxattr(2) asks for nothing else. */
function dutiesOf(rules: readonly PlacedRule[], { appraiseOff }: CompileOptions): ReadonlySet<Duty> {
  const asking = rules.filter(({ rule }) => rule.func !== 'SETXATTR_CHECK' && DUTY_OF[rule.action].isDone);
  const duties = new Set(asking.map(({ rule }) => DUTY_OF[rule.action].duty));
  if (appraiseOff === true) duties.delete('appraise');
  return duties;
}

/**
 * Decides. What the access leaves out, no rule that tests it matches, as in a kernel without that security module:
 * where that is not wanted, `explainAccess` says which rules could not be told.
 */
export function decideAccess(policy: CompiledPolicy, access: PolicyAccess): Decision {
  const found: Partial<Record<Duty, CompiledRule>> = {};
  let open = policy.duties.size;
  let isHashed = false;
  for (const rule of policy.byFunc[access.func]) {
    if (open === 0) break;
    if (found[rule.duty] !== undefined || !matches(rule, access)) continue;
    found[rule.duty] = rule;
    open -= 1;
    if (rule.duty === 'hash') isHashed = rule.isDone;
    if (rule.duty === 'appraise' && rule.isDone) isHashed = false;
  }
  return decisionOf(policy, found, isHashed);
}

const matches = ({ conditions, magic }: CompiledRule, access: PolicyAccess): boolean => {
  if (magic !== undefined && magic !== access.fsMagic) return false;
  for (const condition of conditions) if (condition.holds(access) !== true) return false;
  return true;
};

function decisionOf(
  policy: CompiledPolicy,
  { measure, appraise, audit, hash }: Readonly<Partial<Record<Duty, CompiledRule>>>,
  isHashed: boolean,
): Decision {
  const rules: Partial<Record<Duty, PlacedRule>> = {};
  let verity = false;
  let permitDirectio = false;
  // ima_match_policy takes IMA_NONACTION_FLAGS of each rule that matched, whatever its action.
  for (const matched of [measure, appraise, audit, hash]) {
    if (matched === undefined) continue;
    const { placed, duty } = matched;
    rules[duty] = placed;
    verity ||= placed.rule.digestType === 'verity';
    permitDirectio ||= placed.rule.permitDirectio === true;
  }
  const type = appraise?.placed.rule.appraiseType ?? 'hash';
  return {
    rules,
    measure: measure?.isDone === true,
    appraise: appraise?.isDone === true,
    audit: audit?.isDone === true,
    hash: isHashed,
    appraiseType: type !== 'hash' && verity ? 'sigv3' : type,
    verity,
    permitDirectio,
    appraiseAlgos: appraise?.placed.rule.appraiseAlgos,
    pcr: measure?.placed.rule.pcr,
    template: measure?.placed.rule.template,
    failUnverifiable: policy.failSecurely && appraise?.isDone === true,
  };
}
