/** The policy that a command names: a file, or out of the kernel's own. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import {
  type BuiltInOptions,
  builtInRules,
  type CompiledPolicy,
  compilePolicy,
  formatRule,
  type KernelVersion,
  MAX_POLICY_SIZE,
  NEWEST_KERNEL,
  type PolicyText,
  parseBuiltInNames,
  parseKernelConfiguration,
  parseKernelVersion,
  parsePolicy,
  readPolicy,
} from '../ima/policy/index.ts';
import { inFile } from './in-file.ts';
import { readInput } from './read-input.ts';
import { UsageError } from './usage-error.ts';

export const KERNEL_HELP =
  'whose policy language it is, as 6.12, or `running` (left out: the newest kernel that is known)';
export const BUILT_IN_HELP = 'policies built into the kernel, as tcb|appraise_tcb, instead of a file';

export interface PolicyFlags {
  readonly builtin?: string;
  readonly kernel?: string;
  /** The kernel's configuration, of which rules of its own depend. */
  readonly config?: string;
  readonly secureBoot?: boolean;
}

/** @throws {PolicyError} `policy.invalid-argument` */
export function kernelOf({ kernel }: PolicyFlags): KernelVersion {
  if (kernel === undefined) return NEWEST_KERNEL;
  return parseKernelVersion(kernel === 'running' ? release() : kernel);
}

type Named = { readonly file: string } | { readonly builtin: string };

function named(file: string | undefined, builtin: string | undefined): Named {
  if (file !== undefined && builtin !== undefined) {
    throw new UsageError('a file and --builtin are two policies', 'give one of them');
  }
  if (builtin !== undefined) return { builtin };
  if (file !== undefined) return { file };
  throw new UsageError('no policy is named', 'give a file, or --builtin tcb');
}

/** With its text, for one who looks at it line for line. @throws {PolicyError} for a file that is too large */
export function policyText(file: string | undefined, flags: PolicyFlags): { name: string; text: PolicyText } {
  const which = named(file, flags.builtin);
  const kernel = kernelOf(flags);
  if ('file' in which) {
    const { file: name } = which;
    return { name, text: inFile(name, () => readPolicy(readInput(name, MAX_POLICY_SIZE), { kernel })) };
  }
  const rules = builtInRules(parseBuiltInNames(which.builtin), builtInOptions(flags)).initial;
  if (rules.length === 0) {
    throw new UsageError(`${which.builtin} has no rules of its own`, 'name another beside it, as tcb|fail_securely');
  }
  const text = rules.map(({ rule }) => `${formatRule(rule)}\n`).join('');
  return { name: which.builtin, text: readPolicy(Buffer.from(text), { kernel }) };
}

/** As the kernel has it in force: before the rules of a file stand those of its build and its architecture. */
export function policyInForce(file: string | undefined, flags: PolicyFlags): CompiledPolicy {
  const which = named(file, flags.builtin);
  const own = builtInOptions(flags);
  if ('builtin' in which) {
    const { initial, failSecurely } = builtInRules(parseBuiltInNames(which.builtin), own);
    return compilePolicy(initial, { failSecurely });
  }
  const { file: name } = which;
  const rules = inFile(name, () => parsePolicy(readInput(name, MAX_POLICY_SIZE), { kernel: kernelOf(flags) }));
  return compilePolicy([...builtInRules([], own).beforeCustom, ...rules]);
}

function builtInOptions({ config, secureBoot }: PolicyFlags): BuiltInOptions {
  return {
    ...(config === undefined ? {} : { configuration: parseKernelConfiguration(readFileSync(config, 'utf8')) }),
    secureBoot: secureBoot === true,
  };
}
