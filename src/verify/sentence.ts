/** Findings as they are made: with the right number of words for people. */
import { toHex } from '../bytes/index.ts';
import { FINDINGS, type FindingCode, type Severity } from './findings.ts';
import type { Finding, StandingFindings } from './types.ts';

type Details = Omit<Finding, 'code' | 'subject' | 'message'>;

/** Kernel: linux/limits.h PATH_MAX. Subjects and texts are made of what the host sends. */
const MAX_SUBJECT = 4096;
/** A path and what is said of it. */
const MAX_TEXT = MAX_SUBJECT + 512;

/** @param what the sentence's first half; the table's advice is the second */
export function finding(code: FindingCode, subject: string, what: string, details: Details = {}): Finding {
  const { position, expected, found } = details;
  return {
    code,
    subject: cut(subject, MAX_SUBJECT),
    message: `${cut(what, MAX_TEXT)}. ${FINDINGS[code].advice}`,
    ...(position === undefined ? {} : { position }),
    ...(expected === undefined ? {} : { expected: cut(expected, MAX_TEXT) }),
    ...(found === undefined ? {} : { found: cut(found, MAX_TEXT) }),
  };
}

export function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** Findings of one boot that are kept as they are; beyond this they are counted. */
const MAX_STANDING = 1000;
/** And as many characters: they are kept with the host, and sent to whoever looks at it. */
const MAX_STANDING_CHARACTERS = 1_000_000;

export const NO_FINDINGS: StandingFindings = { items: [], more: {} };

const RANKS: Readonly<Record<Severity, number>> = { untrusted: 0, unknown: 1, warning: 2, info: 3 };
const rankOf = ({ code }: Finding): number => RANKS[FINDINGS[code].severity];

/** Collects findings that stay, within their bound; beyond it the worst keep their names. */
export class FindingCollector {
  readonly #items: Finding[];
  readonly #more: Record<string, number>;
  /** The mildest rank among the items; known once they are full. */
  #mildest: number | undefined;

  constructor(start: StandingFindings = NO_FINDINGS) {
    this.#items = [...start.items];
    this.#more = { ...start.more };
  }

  add(found: Finding): void {
    if (this.#items.length < MAX_STANDING) this.#items.push(found);
    else this.#count(this.#exchanged(found));
  }

  #count({ code }: Finding): void {
    this.#more[code] = (this.#more[code] ?? 0) + 1;
  }

  /** The one of the kept findings and this that is let go: the last of the mildest. */
  #exchanged(found: Finding): Finding {
    this.#mildest ??= Math.max(...this.#items.map(rankOf));
    const mildest = this.#mildest;
    if (rankOf(found) >= mildest) return found;
    const at = this.#items.findLastIndex((item) => rankOf(item) === mildest);
    const [milder = found] = this.#items.splice(at, 1, found);
    this.#mildest = undefined;
    return milder;
  }

  /** True where this code is there already; for findings that one suffices of. */
  has(code: FindingCode): boolean {
    return this.#items.some((item) => item.code === code) || this.#more[code] !== undefined;
  }

  finish(): StandingFindings {
    return withinCharacters({ items: this.#items, more: this.#more });
  }
}

/** Those that make a host untrusted keep their words first. */
function withinCharacters(findings: StandingFindings): StandingFindings {
  const isWorst = ({ code }: Finding) => FINDINGS[code].severity === 'untrusted';
  const others = findings.items.filter((item) => !isWorst(item));
  let left = MAX_STANDING_CHARACTERS;
  const dropped = new Set<Finding>();
  for (const item of [...findings.items.filter(isWorst), ...others]) {
    left -= charactersOf(item);
    if (left < 0) dropped.add(item);
  }
  if (dropped.size === 0) return findings;
  const more = { ...findings.more };
  for (const { code } of dropped) more[code] = (more[code] ?? 0) + 1;
  return { items: findings.items.filter((item) => !dropped.has(item)), more };
}

function charactersOf({ subject, message, expected = '', found = '' }: Finding): number {
  return subject.length + message.length + expected.length + found.length;
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
