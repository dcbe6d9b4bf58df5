/** Why a policy decides as it does: of every rule, whether it decides this access, and if not, what keeps it from it. */
import type { PolicyAccess } from './access.ts';
import type { Condition } from './condition.ts';
import { type CompiledPolicy, type CompiledRule, type Decision, decideAccess, isOfFunc } from './decide.ts';
import { DUTIES, type Duty, type PlacedRule } from './rule.ts';

/** What became of one rule. */
export type RuleOutcome =
  /** It is the first of its duty that matches. */
  | { readonly kind: 'decides' }
  /** It is about another function, or, as all SETXATTR_CHECK rules, about none that is asked for. */
  | { readonly kind: 'other-func' }
  /** These conditions do not hold. */
  | { readonly kind: 'differs'; readonly conditions: readonly FailedCondition[] }
  /** Nothing fails, and what these ask for is not known: it may decide. */
  | { readonly kind: 'unknown'; readonly conditions: readonly string[] }
  /** A rule before it has decided its duty. */
  | { readonly kind: 'too-late'; readonly by: PlacedRule }
  /** Nothing in the policy asks for its duty (ima_update_policy_flags), so that a `dont_` rule is about nothing. */
  | { readonly kind: 'idle' };

export interface FailedCondition {
  /** As in the rule: `uid=0`. */
  readonly condition: string;
  /** What there is instead: `1000`. */
  readonly found: string;
}

export interface Explanation {
  readonly decision: Decision;
  /** Of each rule, in the policy's order. */
  readonly outcomes: readonly { readonly placed: PlacedRule; readonly outcome: RuleOutcome }[];
  /** Duties on which a rule whose conditions cannot all be told comes before the one that decides. */
  readonly uncertain: readonly Duty[];
}

export function explainAccess(policy: CompiledPolicy, access: PolicyAccess): Explanation {
  const decision = decideAccess(policy, access);
  const uncertain = new Set<Duty>();
  const decided = new Set<Duty>();
  const outcomes = policy.rules.map((rule) => {
    const outcome = outcomeOf(rule, { policy, access, decision, decided });
    if (outcome.kind === 'decides') decided.add(rule.duty);
    if (outcome.kind === 'unknown') uncertain.add(rule.duty);
    return { placed: rule.placed, outcome };
  });
  return { decision, outcomes, uncertain: DUTIES.filter((duty) => uncertain.has(duty)) };
}

interface Asked {
  readonly policy: CompiledPolicy;
  readonly access: PolicyAccess;
  readonly decision: Decision;
  readonly decided: ReadonlySet<Duty>;
}

function outcomeOf(rule: CompiledRule, { policy, access, decision, decided }: Asked): RuleOutcome {
  const { placed, duty, conditions } = rule;
  if (!isOfFunc(placed.rule, access.func)) return { kind: 'other-func' };
  if (!policy.duties.has(duty)) return { kind: 'idle' };
  const by = decision.rules[duty];
  if (by === placed) return { kind: 'decides' };
  if (by !== undefined && decided.has(duty)) return { kind: 'too-late', by };
  const failed = conditions.filter((condition) => condition.holds(access) === false);
  if (failed.length > 0) return { kind: 'differs', conditions: failed.map((one) => failedOf(one, access)) };
  const open = conditions.filter((condition) => condition.holds(access) === undefined);
  return { kind: 'unknown', conditions: open.map(({ text }) => text) };
}

const failedOf = (condition: Condition, access: PolicyAccess): FailedCondition => ({
  condition: condition.text,
  found: condition.found(access) ?? '?',
});
