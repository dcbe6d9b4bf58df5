/** Findings as they are made: with the right number of words for people. */
import { toHex } from '../bytes/index.ts';
import { FINDINGS, type FindingCode } from './findings.ts';
import type { Finding, StandingFindings } from './types.ts';

type Details = Omit<Finding, 'code' | 'subject' | 'message'>;

/** @param what the sentence's first half; the table's advice is the second */
export function finding(code: FindingCode, subject: string, what: string, details: Details = {}): Finding {
  return { code, subject, message: `${what}. ${FINDINGS[code].advice}`, ...details };
}

/** Findings of one boot that are kept as they are; beyond this they are counted. */
const MAX_STANDING = 1000;

export const NO_FINDINGS: StandingFindings = { items: [], more: {} };

/** Collects findings that stay, within their bound. */
export class FindingCollector {
  readonly #items: Finding[];
  readonly #more: Record<string, number>;

  constructor(start: StandingFindings = NO_FINDINGS) {
    this.#items = [...start.items];
    this.#more = { ...start.more };
  }

  add(found: Finding): void {
    if (this.#items.length < MAX_STANDING) this.#items.push(found);
    else this.#more[found.code] = (this.#more[found.code] ?? 0) + 1;
  }

  /** True where this code is there already; for findings that one suffices of. */
  has(code: FindingCode): boolean {
    return this.#items.some((item) => item.code === code) || this.#more[code] !== undefined;
  }

  finish(): StandingFindings {
    return { items: this.#items, more: this.#more };
  }
}

/** The findings themselves, and one for each code of which there are more than were kept. */
export function standing(findings: StandingFindings): Finding[] {
  const more = Object.entries(findings.more).flatMap(([code, count]) => {
    const known = Object.hasOwn(FINDINGS, code) ? (code as FindingCode) : undefined; // hasOwn says so
    return known === undefined
      ? []
      : [finding(known, `${count} more`, `${FINDINGS[known].title}: ${count} more times`)];
  });
  return [...findings.items, ...more];
}

export function hexOf(value: Uint8Array | undefined): string {
  return value === undefined ? 'nothing' : toHex(value);
}
