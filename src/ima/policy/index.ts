/** IMA's policy language: rules read, checked and written as the kernel does, and what they decide. */
export { type Credentials, formatUuid, NO_UUID, type PolicyAccess } from './access.ts';
export {
  BUILT_IN_POLICIES,
  type BuiltInOptions,
  type BuiltInPolicy,
  type BuiltInRules,
  builtInRules,
  parseBuiltInNames,
  parseKernelConfiguration,
} from './built-in.ts';
export { type Candidate, causeFinder, type EntryCause, type FileFacts, listFactsOf, UNKNOWN_FILE } from './cause.ts';
export { maskText } from './condition.ts';
export {
  type CompiledPolicy,
  type CompileOptions,
  compilePolicy,
  type Decision,
  decideAccess,
} from './decide.ts';
export { PolicyError, type PolicyErrorCode, type PolicyFault } from './error.ts';
export { type Explanation, explainAccess, type FailedCondition, type RuleOutcome } from './explain.ts';
export { FILE_SYSTEMS, type KnownFileSystem } from './file-systems.ts';
export type { PolicyFinding, PolicyFindingCode } from './finding.ts';
export { formatPolicy, formatRule } from './format.ts';
export { type GeneratedPolicy, type GenerateOptions, generatePolicy, POLICY_AIMS, type PolicyAim } from './generate.ts';
export { type KernelVersion, kernelName, NEWEST_KERNEL, OLDEST_KERNEL, parseKernelVersion } from './kernel.ts';
export { lintPolicy } from './lint.ts';
export {
  MAX_POLICY_SIZE,
  MAX_RULE_SIZE,
  type ParseOptions,
  type PolicyLine,
  type PolicyText,
  parsePolicy,
  type RuleLine,
  readPolicy,
} from './parse.ts';
export {
  ACTIONS,
  DUTIES,
  DUTY_OF,
  type Duty,
  FUNCS,
  LABEL_CONDITIONS,
  type LabelCondition,
  MAY,
  type PlacedRule,
  type PolicyAction,
  type PolicyFunc,
  type PolicyRule,
} from './rule.ts';
export { FILE_USES, type FileKind, type FileUse, fileKind, type Hook, hooksOf, type UseName, usesOf } from './use.ts';
