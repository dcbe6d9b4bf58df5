export { type Policy, type PolicyPcr, type PolicyStep, pcrDigest, pcrSelectionOf, policyDigest } from './policy.ts';
export { type ApprovedPcrPolicy, currentValues, PolicyNotSatisfied, satisfyPolicy } from './satisfy.ts';
