/**
 * The policies that are built into the kernel, chosen on its command line (`ima_policy=`), with the rules of the build and of
 * the architecture: ima_policy.c:ima_init_policy and the tables before it, ima_efi.c, arch/powerpc/kernel/ima_arch.c; Linux 6.12.
 */
import { PolicyError } from './error.ts';
import { fileSystemOfName } from './file-systems.ts';
import { parseKernelVersion } from './kernel.ts';
import { parsePolicy } from './parse.ts';
import type { PlacedRule } from './rule.ts';

/** `ima_tcb` is the older parameter of that name; the others are values of `ima_policy=`. */
export const BUILT_IN_POLICIES = [
  'tcb',
  'ima_tcb',
  'appraise_tcb',
  'secure_boot',
  'critical_data',
  'fail_securely',
] as const;
export type BuiltInPolicy = (typeof BUILT_IN_POLICIES)[number];

/** What of the machine decides about its built-in rules. */
export interface BuiltInOptions {
  /** Names without `CONFIG_`, of what is built in: `IMA_WRITE_POLICY`. {@link parseKernelConfiguration} reads them. */
  readonly configuration?: ReadonlySet<string>;
  /** Secure Boot is on, which the architecture's rules ask for (with CONFIG_IMA_ARCH_POLICY). */
  readonly secureBoot?: boolean;
  /** Whose rules; left out: those of EFI (x86, arm64). */
  readonly architecture?: 'efi' | 'powerpc';
  /** POWER's trusted boot is on. */
  readonly trustedBoot?: boolean;
}

export interface BuiltInRules {
  /** In force until a policy is loaded. */
  readonly initial: readonly PlacedRule[];
  /** What stays in force before the rules of a loaded policy. */
  readonly beforeCustom: readonly PlacedRule[];
  /** A signature on a file system that cannot vouch for it fails. */
  readonly failSecurely: boolean;
}

const excepted = (action: string, names: readonly string[]): string[] =>
  names.map((name) => `${action} fsmagic=0x${fileSystemOfName(name)?.magic.toString(16)}`);

const DONT_MEASURE = excepted(
  'dont_measure',
  'proc sysfs debugfs tmpfs devpts binfmt_misc securityfs selinuxfs smackfs cgroup cgroup2 nsfs efivarfs'.split(' '),
);

const ORIGINAL_TCB = [
  'measure func=MMAP_CHECK mask=MAY_EXEC',
  'measure func=BPRM_CHECK mask=MAY_EXEC',
  'measure func=FILE_CHECK mask=MAY_READ uid=0',
  'measure func=MODULE_CHECK',
  'measure func=FIRMWARE_CHECK',
];

const TCB = [
  'measure func=MMAP_CHECK mask=MAY_EXEC',
  'measure func=BPRM_CHECK mask=MAY_EXEC',
  'measure func=FILE_CHECK mask=^MAY_READ euid=0',
  'measure func=FILE_CHECK mask=^MAY_READ uid=0',
  'measure func=MODULE_CHECK',
  'measure func=FIRMWARE_CHECK',
  'measure func=POLICY_CHECK',
];

const DONT_APPRAISE = excepted(
  'dont_appraise',
  'proc sysfs debugfs tmpfs ramfs devpts binfmt_misc securityfs selinuxfs smackfs nsfs efivarfs cgroup cgroup2'.split(
    ' ',
  ),
);

const SECURE_BOOT = [
  'appraise func=MODULE_CHECK appraise_type=imasig',
  'appraise func=FIRMWARE_CHECK appraise_type=imasig',
  'appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig',
  'appraise func=POLICY_CHECK appraise_type=imasig',
];

type Has = (name: string) => boolean;

function appraiseTcb(has: Has): string[] {
  return [
    ...DONT_APPRAISE,
    ...(has('IMA_WRITE_POLICY') ? ['appraise func=POLICY_CHECK appraise_type=imasig'] : []),
    has('IMA_APPRAISE_SIGNED_INIT') ? 'appraise fowner=0 appraise_type=imasig' : 'appraise fowner=0',
  ];
}

/** build_appraise_rules. */
function buildRules(has: Has): string[] {
  const required: readonly [option: string, func: string][] = [
    ['IMA_APPRAISE_REQUIRE_MODULE_SIGS', 'MODULE_CHECK'],
    ['IMA_APPRAISE_REQUIRE_FIRMWARE_SIGS', 'FIRMWARE_CHECK'],
    ['IMA_APPRAISE_REQUIRE_KEXEC_SIGS', 'KEXEC_KERNEL_CHECK'],
    ['IMA_APPRAISE_REQUIRE_POLICY_SIGS', 'POLICY_CHECK'],
  ];
  return required.filter(([option]) => has(option)).map(([, func]) => `appraise func=${func} appraise_type=imasig`);
}

function architectureRules(options: BuiltInOptions, has: Has): string[] {
  if (!has('IMA_ARCH_POLICY')) return [];
  if (options.architecture === 'powerpc') return powerRules(options, has);
  if (options.secureBoot !== true) return [];
  const mustSignPolicy = has('INTEGRITY_MACHINE_KEYRING') && has('IMA_KEYRINGS_PERMIT_SIGNED_BY_BUILTIN_OR_SECONDARY');
  return [
    ...(has('KEXEC_SIG') ? [] : ['appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig']),
    'measure func=KEXEC_KERNEL_CHECK',
    ...(has('MODULE_SIG') ? [] : ['appraise func=MODULE_CHECK appraise_type=imasig']),
    ...(mustSignPolicy ? ['appraise func=POLICY_CHECK appraise_type=imasig'] : []),
    'measure func=MODULE_CHECK',
  ];
}

function powerRules({ secureBoot, trustedBoot }: BuiltInOptions, has: Has): string[] {
  const template = secureBoot === true ? ' template=ima-modsig' : '';
  const trusted = [`measure func=KEXEC_KERNEL_CHECK${template}`, `measure func=MODULE_CHECK${template}`];
  const secure = [
    'appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig|modsig',
    ...(has('MODULE_SIG') ? [] : ['appraise func=MODULE_CHECK appraise_type=imasig|modsig']),
  ];
  return [...(trustedBoot === true ? trusted : []), ...(secureBoot === true ? secure : [])];
}

const LANGUAGE = parseKernelVersion('6.12');

function placed(source: string, lines: readonly string[]): PlacedRule[] {
  return lines.length === 0 ? [] : parsePolicy(Buffer.from(lines.join('\n')), { kernel: LANGUAGE, source });
}

/**
 * The rules of a kernel that was started with these policies, in its order. Both `tcb` and `ima_tcb`: the one named first
 * counts, as on the command line.
 */
export function builtInRules(names: readonly BuiltInPolicy[], options: BuiltInOptions = {}): BuiltInRules {
  const has: Has = (name) => options.configuration?.has(name) === true;
  const tcb = names.find((name) => name === 'tcb' || name === 'ima_tcb');
  const uses = (name: BuiltInPolicy): boolean => names.includes(name);
  const architecture = placed('arch', architectureRules(options, has));
  const build = placed('build', buildRules(has));
  const initial = [
    ...(tcb === undefined ? [] : placed(tcb, [...DONT_MEASURE, ...(tcb === 'tcb' ? TCB : ORIGINAL_TCB)])),
    ...architecture,
    ...(uses('secure_boot') ? placed('secure_boot', SECURE_BOOT) : build),
    ...(uses('appraise_tcb') ? placed('appraise_tcb', appraiseTcb(has)) : []),
    ...(uses('critical_data') ? placed('critical_data', ['measure func=CRITICAL_DATA']) : []),
  ];
  return { initial, beforeCustom: [...architecture, ...build], failSecurely: uses('fail_securely') };
}

/** `tcb|appraise_tcb`, as on the kernel's command line, or with commas. @throws {PolicyError} `policy.invalid-argument` */
export function parseBuiltInNames(text: string): BuiltInPolicy[] {
  return text.split(/[|,]/).map((name) => {
    const known = BUILT_IN_POLICIES.find((one) => one === name);
    if (known !== undefined) return known;
    const message = `there is no built-in policy '${name}'`;
    throw new PolicyError('policy.invalid-argument', message, `they are ${BUILT_IN_POLICIES.join(', ')}`);
  });
}

/** What is set to `y` in a kernel's configuration (`/boot/config-…`, `/proc/config.gz` unpacked), without `CONFIG_`. */
export function parseKernelConfiguration(text: string): ReadonlySet<string> {
  return new Set([...text.matchAll(/^CONFIG_(\w+)=y$/gm)].map((match) => match[1] ?? ''));
}
