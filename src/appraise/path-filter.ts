/** Globs over paths beneath a tree: those of node:path, but names that begin with a dot are names like any other. */
import { matchesGlob } from 'node:path';

export type PathFilter = (path: string) => boolean;

/** For node:path a leading dot is matched by a dot alone, so that `log/**` would leave out what is not hidden in `log`. */
const HIDDEN = /(^|\/)\./g;
/** A private-use character in its place is matched as any letter is. */
const SHOWN = '$1\u{f8ff}';

export function pathFilter(glob: string): PathFilter {
  const shown = glob.replace(HIDDEN, SHOWN);
  return (path) => matchesGlob(path, glob) || matchesGlob(path.replace(HIDDEN, SHOWN), shown);
}
