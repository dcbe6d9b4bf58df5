/**
 * Path globs, anchored at both ends: `*` stays within a name, `**` crosses directories, `\` takes the next character as
 * it is. Every other character stands for itself. (A prefix match is the classic hole: `/tmp` must not cover `/tmpevil`.)
 */

export type PathMatcher = (path: string) => boolean;

/** True where the pattern can match one path only. */
export function isExactPath(pattern: string): boolean {
  return !/[*\\]/.test(pattern);
}

/** A pattern that matches exactly this path. */
export function literalPattern(path: string): string {
  return path.replace(/[*\\]/g, '\\$&');
}

/**
 * The kernel writes `_` for each space of a name into the list, and so into the template digest: `a b` and `a_b` cannot
 * be told apart there (ima_template_lib.c:ima_write_template_field_data).
 */
export function asListed(path: string): string {
  return path.replaceAll(' ', '_');
}

/** The most wildcards of a pattern that a manifest may have. */
export const MAX_STARS = 64;
export const MAX_DOUBLE_STARS = 16;

/** How many `*` and `**` a pattern has. */
export function countWildcards(pattern: string): { readonly stars: number; readonly doubleStars: number } {
  const tokens = tokensOf(pattern);
  return {
    stars: tokens.filter((token) => token === STAR).length,
    doubleStars: tokens.filter((token) => token === DOUBLE_STAR).length,
  };
}

/** Matches the path as it is, and as the kernel lists it. */
export function pathMatcher(pattern: string): PathMatcher {
  const listed = asListed(pattern);
  if (isExactPath(pattern)) return (path) => path === pattern || path === listed;
  const plain = globMatcher(pattern);
  if (listed === pattern) return plain;
  const underscored = globMatcher(listed);
  return (path) => plain(path) || underscored(path);
}

const STAR = -1;
const DOUBLE_STAR = -2;
const SLASH = 0x2f;

/** Code points that stand for themselves, {@link STAR} and {@link DOUBLE_STAR}. */
function tokensOf(pattern: string): number[] {
  return Array.from(pattern.matchAll(/\\(.?)|\*+|[^\\*]/gsu), ([part, escaped]) => {
    if (part.startsWith('*')) return part === '*' ? STAR : DOUBLE_STAR;
    return (escaped || part).codePointAt(0) ?? 0;
  });
}

/** The ends, compared first, refuse most paths at once. */
function globMatcher(pattern: string): PathMatcher {
  const tokens = tokensOf(pattern);
  const wildcard = (token: number) => token < 0;
  const first = tokens.findIndex(wildcard);
  const prefix = textOf(first < 0 ? tokens : tokens.slice(0, first));
  const suffix = textOf(tokens.slice(tokens.findLastIndex(wildcard) + 1));
  return (path) => path.startsWith(prefix) && path.endsWith(suffix) && matches(tokens, path);
}

function textOf(codePoints: readonly number[]): string {
  return codePoints.map((point) => String.fromCodePoint(point)).join('');
}

/**
 * All ways through the pattern at once, character by character: at most path × pattern steps, whatever the path. A host
 * chooses the names in its list, and a backtracking expression (`/usr/lib/**` + `/*.so*`) let one name stop the server.
 */
function matches(tokens: readonly number[], path: string): boolean {
  const seenAt = new Int32Array(tokens.length + 1).fill(-1);
  let step = 0;
  // A `**` that was reached takes whatever follows, so the ways that are still before it add nothing.
  let floor = 0;
  let ways: number[] = [];
  let next: number[] = [];
  const reach = (from: number): void => {
    for (let at = from; at >= floor && seenAt[at] !== step; at++) {
      seenAt[at] = step;
      next.push(at);
      const token = tokens[at] ?? 0;
      if (token >= 0) return;
      if (token === DOUBLE_STAR) floor = at;
    }
  };
  reach(0);
  for (const char of path) {
    [ways, next] = [next, ways];
    next.length = 0;
    step++;
    const point = char.codePointAt(0);
    for (const at of ways) {
      const token = tokens[at];
      if (token === point) reach(at + 1);
      else if (token === DOUBLE_STAR || (token === STAR && point !== SLASH)) reach(at);
    }
    if (next.length === 0) return false;
  }
  return seenAt[tokens.length] === step;
}
