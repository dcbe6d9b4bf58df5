/** How much a finding weighs, and what the verifier's table says of its kind. */
import { FINDINGS, type FindingKind, type Severity } from '../../src/verify/findings.ts';

export type { ChainLink, Severity } from '../../src/verify/findings.ts';

const RANK: Readonly<Record<Severity, number>> = { untrusted: 0, unknown: 1, warning: 2, info: 3 };

/** Negative where `a` is the worse. */
export function bySeverity(a: Severity, b: Severity): number {
  return RANK[a] - RANK[b];
}

const TABLE: ReadonlyMap<string, FindingKind> = new Map(Object.entries(FINDINGS));

/** What the code means and how it comes about; undefined for a code of a newer server than this page. */
export function meaningOf(code: string): string | undefined {
  return TABLE.get(code)?.meaning;
}
