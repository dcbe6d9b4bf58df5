/** Findings as they are read: by link in the chain's order, worst first, equal codes together. */
import type { Finding } from './api.ts';
import { bySeverity, type ChainLink } from './severity.ts';

export interface CodeGroup {
  readonly code: string;
  /** All of one code have the same severity, title and advice; the first speaks for them. */
  readonly first: Finding;
  readonly findings: readonly Finding[];
}

export interface LinkGroup {
  readonly link: ChainLink;
  readonly codes: readonly CodeGroup[];
}

export const LINKS: readonly ChainLink[] = ['tpm', 'firmware', 'kernel', 'files'];

/** Links without findings are left out. */
export function groupFindings(findings: readonly Finding[]): readonly LinkGroup[] {
  const worstFirst = findings.toSorted((a, b) => bySeverity(a.severity, b.severity));
  return LINKS.map((link) => ({
    link,
    codes: groupByCode(worstFirst.filter((finding) => finding.link === link)),
  })).filter((group) => group.codes.length > 0);
}

function groupByCode(findings: readonly Finding[]): readonly CodeGroup[] {
  const groups = new Map<string, Finding[]>();
  for (const finding of findings) {
    const same = groups.get(finding.code);
    if (same === undefined) groups.set(finding.code, [finding]);
    else same.push(finding);
  }
  return [...groups].flatMap(([code, same]) =>
    same[0] === undefined ? [] : [{ code, first: same[0], findings: same }],
  );
}

/** The worst of a link's findings, the first of equals; undefined where it has none. */
export function worstOf(findings: readonly Finding[], link: ChainLink): Finding | undefined {
  const own = findings.filter((finding) => finding.link === link);
  return own.toSorted((a, b) => bySeverity(a.severity, b.severity))[0];
}
