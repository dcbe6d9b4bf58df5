/** What is to be said of a policy that the kernel takes. */
import type { RuleLine } from './parse.ts';
import type { PolicyOption } from './rule.ts';

export type PolicyFindingCode =
  /** The conditions of the rule never hold together. */
  | 'never-matches'
  /** A rule before it matches whatever it matches, and says something else. */
  | 'shadowed'
  /** A rule before it says the same of all that it matches. */
  | 'redundant'
  /** A `dont_` rule without a rule that it would make an exception of. */
  | 'idle'
  /** A `dont_` rule behind a rule that part of its files match already. */
  | 'late-exclusion'
  /** Two rules match the same files and want them done differently: the first decides. */
  | 'overlap'
  /** A word that the kernel takes and does not look at. */
  | 'ignored'
  /** Appraisal where no label can be, or stay. */
  | 'no-labels'
  /** A wide rule without exceptions for file systems that the kernel makes up. */
  | 'missing-exclusion'
  /** Everything that is opened is measured, for writing too. */
  | 'measures-everything'
  /** It depends on how the kernel was built, or on the security module's policy. */
  | 'needs-configuration'
  /** A PCR that others extend, or that the TPM does not have. */
  | 'pcr'
  /** fs-verity's digest in a template that does not tell it from the content's. */
  | 'verity-template'
  /** Once this rule is loaded, every further policy has to be a signed file, named by its path. */
  | 'policy-signed'
  /** The last line has no newline: the kernel refuses the file where it reads it itself. */
  | 'no-newline'
  /** So many rules that they are not compared with each other. */
  | 'not-compared';

export interface PolicyFinding {
  readonly code: PolicyFindingCode;
  /** `note`: right as it is, where it is known. */
  readonly severity: 'warning' | 'note';
  readonly line: number;
  /** The last of the lines behind one another of which the same is to be said; `line` where it is said of one. */
  readonly through: number;
  readonly column: number;
  readonly message: string;
  readonly advice: string;
}

/** Makes a finding of one line, told at the place of an option, or where the options begin. */
export type Say = (
  code: PolicyFindingCode,
  severity: PolicyFinding['severity'],
  message: string,
  advice: string,
  option?: PolicyOption,
) => PolicyFinding;

export const sayer =
  ({ line, columns }: RuleLine): Say =>
  (code, severity, message, advice, option) => {
    const first = Math.min(...columns.values());
    const column = (option && columns.get(option)) ?? (Number.isFinite(first) ? first : 1);
    return { code, severity, line, through: line, column, message, advice };
  };
