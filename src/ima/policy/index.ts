/** IMA's policy language: rules read, checked and written as the kernel does, and what they decide. */
export { type Credentials, formatUuid, NO_UUID, type PolicyAccess } from './access.ts';
export {
  type CompiledPolicy,
  type CompileOptions,
  compilePolicy,
  type Decision,
  decideAccess,
} from './decide.ts';
export { PolicyError, type PolicyErrorCode, type PolicyFault } from './error.ts';
export { formatPolicy, formatRule } from './format.ts';
export { type KernelVersion, kernelName, NEWEST_KERNEL, OLDEST_KERNEL, parseKernelVersion } from './kernel.ts';
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
  type Duty,
  FUNCS,
  MAY,
  type PlacedRule,
  type PolicyAction,
  type PolicyFunc,
  type PolicyRule,
} from './rule.ts';
