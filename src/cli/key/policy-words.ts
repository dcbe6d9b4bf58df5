import type { Policy } from '../../tpm/index.ts';

/** What a policy asks for, for people. */
export function policyWords(policy: Policy): string {
  return policy.map(stepWords).join(' and ');
}

function stepWords(step: Policy[number]): string {
  switch (step.kind) {
    case 'pcr':
      return `PCR ${step.values.map(({ bank, pcr }) => `${bank}:${pcr}`).join(', ')}`;
    case 'or':
      return `one of: ${step.branches.map(policyWords).join('; ')}`;
    case 'authorize':
      return `what its owner signs (${step.approved?.length ?? 0} signed policies are kept with it)`;
    case 'auth-value':
      return 'a PIN';
  }
}
