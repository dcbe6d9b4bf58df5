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

/** Matches the path as it is, and as the kernel lists it. */
export function pathMatcher(pattern: string): PathMatcher {
  const listed = asListed(pattern);
  if (isExactPath(pattern)) return (path) => path === pattern || path === listed;
  const plain = globExpression(pattern);
  if (listed === pattern) return (path) => plain.test(path);
  const underscored = globExpression(listed);
  return (path) => plain.test(path) || underscored.test(path);
}

function globExpression(pattern: string): RegExp {
  const source = pattern.replace(/\\(.?)|\*{2,}|\*|[^\\*]/gsu, (part, escaped: string | undefined) => {
    if (escaped !== undefined) return literal(escaped === '' ? '\\' : escaped);
    if (part === '*') return '[^/]*';
    return part.startsWith('*') ? '[^]*' : literal(part);
  });
  return new RegExp(`^${source}$`, 'u');
}

function literal(char: string): string {
  return char.replace(/[$()*+.?[\\\]^{|}/]/u, '\\$&');
}
