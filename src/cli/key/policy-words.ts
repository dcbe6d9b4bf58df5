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
      return 'a policy that its key signs';
    case 'auth-value':
      return 'a PIN';
  }
}
