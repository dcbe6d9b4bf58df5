/** Which parts of a rule go together (kernel: ima_policy.c:ima_validate_rule). */
import { IGNORES_APPRAISE_FLAG, isBefore, type KernelVersion } from './kernel.ts';
import type { Refusal, RuleDraft } from './options.ts';
import { DUTY_OF, LABEL_CONDITIONS, type PolicyAction, type PolicyFunc, type PolicyOption } from './rule.ts';

/** A refusal, and the option whose place it is told at; none: the rule's beginning. */
export interface Incompatible extends Refusal {
  readonly option?: PolicyOption;
}

const KERNEL = 'ima_policy.c:ima_validate_rule';

/** Where a file is at hand, and with it its inode and the credentials of who asks. */
const OF_INODES: readonly PolicyOption[] = [
  'fsmagic',
  'fsname',
  'fs_subtype',
  'fsuuid',
  'uid',
  'euid',
  'gid',
  'egid',
  'fowner',
  'fgroup',
];
const OF_FILES: readonly PolicyOption[] = [
  ...OF_INODES,
  'mask',
  'pcr',
  'permit_directio',
  'appraise_type',
  'appraise_algos',
];

/**
 * What each function takes beside `func=`, `template=`, which goes by the action, and the security module's labels (in the
 * kernel neither is a flag). `none` is a rule without a function.
 */
const TAKES: Readonly<Record<PolicyFunc | 'none', readonly PolicyOption[]>> = (() => {
  const file = [...OF_FILES, 'digest_type'] as const;
  const appended = OF_FILES;
  return {
    none: file,
    FILE_CHECK: file,
    MMAP_CHECK: file,
    MMAP_CHECK_REQPROT: file,
    BPRM_CHECK: file,
    CREDS_CHECK: file,
    FIRMWARE_CHECK: file,
    POLICY_CHECK: file,
    MODULE_CHECK: appended,
    KEXEC_KERNEL_CHECK: appended,
    KEXEC_INITRAMFS_CHECK: appended,
    KEXEC_CMDLINE: [...OF_INODES, 'pcr'],
    KEY_CHECK: ['uid', 'gid', 'pcr', 'keyrings'],
    CRITICAL_DATA: ['uid', 'gid', 'pcr', 'label'],
    SETXATTR_CHECK: ['appraise_algos'],
  };
})();

/** Functions whose files may carry an appended signature. */
const APPENDED: ReadonlySet<PolicyFunc | undefined> = new Set([
  'MODULE_CHECK',
  'KEXEC_KERNEL_CHECK',
  'KEXEC_INITRAMFS_CHECK',
]);
/** Functions that measure what is no file. */
const BUFFERS: ReadonlySet<PolicyFunc | undefined> = new Set(['KEXEC_CMDLINE', 'KEY_CHECK', 'CRITICAL_DATA']);
const WITHOUT_LABELS: ReadonlySet<PolicyFunc | undefined> = new Set(['KEY_CHECK', 'CRITICAL_DATA']);

const refuse = (message: string, advice: string, option?: PolicyOption): Incompatible => ({
  code: 'policy.combination',
  message,
  kernel: KERNEL,
  advice,
  ...(option === undefined ? {} : { option }),
});

/**
 * Why the kernel refuses a rule whose words it took; undefined where it takes the rule.
 * @param said the options that the rule has, in its order
 */
export function whyIncompatible(
  rule: RuleDraft,
  said: Iterable<PolicyOption>,
  kernel: KernelVersion,
): Incompatible | undefined {
  const { action, func } = rule;
  if (action === undefined) {
    const message = 'the rule has no action';
    return { code: 'policy.no-action', message, kernel: KERNEL, advice: 'begin it with one, as `measure`' };
  }
  return (
    withAction(rule, action) ??
    oldAppraiseFlag(rule, kernel) ??
    withFunction(rule, action, said) ??
    (func === 'SETXATTR_CHECK' ? withSetxattr(rule, action) : undefined) ??
    withVerity(rule, action)
  );
}

function withAction(rule: RuleDraft, action: PolicyAction): Incompatible | undefined {
  if (action !== 'measure' && rule.pcr !== undefined) {
    return refuse(`pcr= does not go with ${action}`, 'it goes with measure alone', 'pcr');
  }
  if (action === 'appraise') return undefined;
  const option =
    rule.appraiseType !== undefined ? 'appraise_type' : rule.appraiseAlgos !== undefined ? 'appraise_algos' : undefined;
  if (option === undefined) return undefined;
  return refuse(`${option}= does not go with ${action}`, 'it goes with appraise alone', option);
}

/** Until 6.5 the flag counted (IMA_CHECK_BLACKLIST), and only with appended signatures. */
function oldAppraiseFlag({ appraiseFlag, appraiseType }: RuleDraft, kernel: KernelVersion): Incompatible | undefined {
  if (appraiseFlag === undefined || !isBefore(kernel, IGNORES_APPRAISE_FLAG)) return undefined;
  if (appraiseType === 'imasig|modsig') return undefined;
  return refuse('appraise_flag= goes with appraise_type=imasig|modsig alone', 'leave it out', 'appraise_flag');
}

function withFunction(rule: RuleDraft, action: PolicyAction, said: Iterable<PolicyOption>): Incompatible | undefined {
  const { func } = rule;
  const name = func === undefined ? 'a rule without func=' : `func=${func}`;
  if (BUFFERS.has(func) && DUTY_OF[action].duty !== 'measure') {
    return refuse(`${name} does not go with ${action}`, 'it goes with measure and dont_measure', 'func');
  }
  if (func === 'SETXATTR_CHECK' && action !== 'appraise') {
    return refuse(`${name} does not go with ${action}`, 'it goes with appraise alone', 'func');
  }
  const taken = TAKES[func ?? 'none'];
  for (const option of said) {
    const isLabel = LABEL_CONDITIONS.some((one) => one === option);
    const isElsewhere = option === 'func' || option === 'template' || option === 'appraise_flag';
    const isTaken = isLabel ? !WITHOUT_LABELS.has(func) : isElsewhere || taken.includes(option);
    if (!isTaken) return refuse(`${option}= does not go with ${name}`, adviceFor(option, taken), option);
  }
  if (rule.appraiseType === 'imasig|modsig' && !APPENDED.has(func)) {
    const advice = `appended signatures are for ${[...APPENDED].join(', ')}`;
    return refuse(`appraise_type=imasig|modsig does not go with ${name}`, advice, 'appraise_type');
  }
  return undefined;
}

function adviceFor(option: PolicyOption, taken: readonly PolicyOption[]): string {
  if (option === 'keyrings') return 'it goes with func=KEY_CHECK';
  if (option === 'label') return 'it goes with func=CRITICAL_DATA';
  return `beside the action it takes ${taken.join(', ')}`;
}

function withSetxattr({ appraiseAlgos, func }: RuleDraft, action: PolicyAction): Incompatible | undefined {
  if (appraiseAlgos !== undefined) return undefined;
  return refuse(`${action} func=${func} has no appraise_algos=`, 'name the algorithms, as sha256,sha512', 'func');
}

/** A label for fs-verity is always a signature. */
function withVerity(rule: RuleDraft, action: PolicyAction): Incompatible | undefined {
  if (action !== 'appraise' || rule.digestType !== 'verity' || rule.appraiseType !== undefined) return undefined;
  return refuse(
    'appraise digest_type=verity has no appraise_type=',
    'add appraise_type=sigv3 behind it',
    'digest_type',
  );
}
