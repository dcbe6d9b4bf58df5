import { AssayError } from '../../bytes/index.ts';

export type PolicyErrorCode =
  /** The text is larger than any policy, or a line than the kernel takes in one write. */
  | 'policy.too-large'
  /** A NUL byte: the kernel's strings end there, and what follows is read as another line or not at all. */
  | 'policy.nul'
  /** A word that is no action and no option. */
  | 'policy.unknown-option'
  /** An option's value that it does not have. */
  | 'policy.unknown-value'
  /** A number that is none, or out of its range. */
  | 'policy.number'
  /** What may be said once is said twice. */
  | 'policy.repeated'
  /** What has to stand before another option stands after it. */
  | 'policy.order'
  /** An action, function, option or value that the chosen kernel does not have. */
  | 'policy.not-in-kernel'
  /** A rule without an action. */
  | 'policy.no-action'
  /** Options that do not go together, or not with the action or the function (ima_validate_rule). */
  | 'policy.combination'
  /** There is no rule at all, which the kernel refuses. */
  | 'policy.empty'
  /** An argument of a function of this room, or a kernel version, that is none. */
  | 'policy.invalid-argument';

/** What is wrong with a policy, where, and by which of the kernel's rules. */
export interface PolicyFault {
  readonly code: Exclude<PolicyErrorCode, 'policy.invalid-argument'>;
  /** From 1. */
  readonly line: number;
  /** In characters, from 1. */
  readonly column: number;
  readonly message: string;
  /** The kernel's file and function that refuses it: `ima_policy.c:ima_validate_rule`. */
  readonly kernel: string;
  readonly advice?: string;
}

/** A policy that the kernel would refuse; it refuses the whole. */
export class PolicyError extends AssayError {
  readonly code: PolicyErrorCode;
  /** All faults that were found (a bounded number), the first of which the message tells; none for a bad argument. */
  readonly faults: readonly PolicyFault[];

  constructor(code: PolicyErrorCode, message: string, advice?: string, faults: readonly PolicyFault[] = []) {
    super(message, advice === undefined ? {} : { advice });
    this.code = code;
    this.faults = faults;
  }

  /** @param faults at least one */
  static of(faults: readonly [PolicyFault, ...PolicyFault[]]): PolicyError {
    const [first, ...others] = faults;
    const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
    const place = `line ${first.line}, column ${first.column}`;
    const message = `${place}: ${first.message} (the kernel's rule: ${first.kernel})${more}`;
    return new PolicyError(first.code, message, first.advice, faults);
  }
}
