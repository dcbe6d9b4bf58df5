export {
  type ApprovedPcrPolicy,
  type Policy,
  type PolicyPcr,
  type PolicyStep,
  pcrDigest,
  pcrSelectionOf,
  policyDigest,
} from './policy.ts';
export { currentValues, PolicyNotSatisfied, satisfyPolicy } from './satisfy.ts';
