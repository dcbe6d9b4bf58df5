/**
 * Every finding's stable code: the one table from which the verifier's sentences, docs/FINDINGS.md and the dashboard are
 * made. Pure data, so that the dashboard can bundle it.
 */

/** The link of the chain of trust that a finding belongs to. */
export type ChainLink = 'tpm' | 'firmware' | 'kernel' | 'files';

/** What a finding does to the verdict. `info` leaves it alone. */
export type Severity = 'info' | 'warning' | 'unknown' | 'untrusted';

export interface FindingKind {
  readonly link: ChainLink;
  readonly severity: Severity;
  readonly title: string;
  /** What it means and how it comes about. */
  readonly meaning: string;
  /** What a person does about it. */
  readonly advice: string;
}

export const FINDINGS = {
  'quote.malformed': {
    link: 'tpm',
    severity: 'untrusted',
    title: 'The quote cannot be read',
    meaning: 'The signed message or its signature is not a well-formed TPM structure.',
    advice: 'Look at the offset in the message; compare with what the TPM gave.',
  },
} as const satisfies Record<string, FindingKind>;

export type FindingCode = keyof typeof FINDINGS;
