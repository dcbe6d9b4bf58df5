import { FINDINGS, type Finding, type Severity } from '../verify/index.ts';

const RANK: Readonly<Record<Severity, number>> = { untrusted: 0, unknown: 1, warning: 2, info: 3 };

/** Worst first; findings of one severity keep their order. */
export function bySeverity(findings: readonly Finding[]): Finding[] {
  return [...findings].sort((a, b) => rankOf(a) - rankOf(b));
}

function rankOf(finding: Finding): number {
  return RANK[FINDINGS[finding.code].severity];
}
