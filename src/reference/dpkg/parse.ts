/**
 * dpkg's files, as dpkg reads them (dpkg: lib/dpkg/db-fsys-files.c, db-fsys-divert.c, db-fsys-digest.c, parse.c). Names are
 * bytes: all texts here are latin1, one character a byte. A line that is not in its file's form is passed over, as one
 * damaged line must not hide what the others say; what is passed over vouches for nothing.
 */

/** A package as `status` has it; only installed ones (or half installed: their files are there) count. */
export interface InstalledPackage {
  readonly name: string;
  readonly architecture: string;
  readonly version: string;
  /** Path → MD5 in hex, as the package shipped it. */
  readonly conffiles: ReadonlyMap<string, string>;
}

/** A file that is put elsewhere when any package but `by` ships it (dpkg-divert(1)). */
export interface Diversion {
  readonly from: string;
  readonly to: string;
  /** `:` for a local diversion, which moves every package's file. */
  readonly by: string;
}

const MD5 = /^[0-9a-f]{32}$/;

/** `status`: stanzas of `Field: value` with indented continuation lines, separated by empty lines. */
export function parseStatus(text: string): InstalledPackage[] {
  return text.split(/\n\n+/).flatMap((stanza) => parseStanza(stanza) ?? []);
}

function parseStanza(stanza: string): InstalledPackage | undefined {
  const field = (name: string) => new RegExp(`^${name}:[ \t]*(.*)$`, 'm').exec(stanza)?.[1]?.trim();
  const name = field('Package');
  const version = field('Version');
  const state = field('Status')?.split(' ')[2];
  if (name === undefined || version === undefined || state === undefined) return undefined;
  if (state === 'not-installed' || state === 'config-files') return undefined;
  return { name, version, architecture: field('Architecture') ?? '', conffiles: parseConffiles(stanza) };
}

/** Lines ` /path md5[ obsolete]`; a name may hold spaces. */
function parseConffiles(stanza: string): Map<string, string> {
  const files = new Map<string, string>();
  const start = stanza.search(/^Conffiles:/m);
  if (start < 0) return files;
  for (const line of stanza.slice(start).split('\n').slice(1)) {
    if (!line.startsWith(' ')) break;
    const match = /^ (\/.*) ([0-9a-f]{32})(?: obsolete)?(?: remove-on-upgrade)?$/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) files.set(match[1], match[2]);
  }
  return files;
}

/** `diversions`: three lines each. */
export function parseDiversions(text: string): Diversion[] {
  const lines = text.split('\n');
  const diversions: Diversion[] = [];
  for (let at = 0; at + 2 < lines.length; at += 3) {
    const [from = '', to = '', by = ''] = lines.slice(at, at + 3);
    if (from.startsWith('/') && to.startsWith('/') && by !== '') diversions.push({ from, to, by });
  }
  return diversions;
}

/**
 * `PACKAGE.md5sums`: `md5  path` with the path relative to `/`. A line that begins with `\` has `\\` and `\n` escaped in
 * its name (coreutils' md5sum).
 * @returns absolute path → MD5 in hex
 */
export function parseMd5sums(text: string): Map<string, string> {
  const sums = new Map<string, string>();
  for (const line of text.split('\n')) {
    const isEscaped = line.startsWith('\\');
    const start = isEscaped ? 1 : 0;
    const md5 = line.slice(start, start + 32);
    const separator = line.slice(start + 32, start + 34);
    const name = line.slice(start + 34);
    if (!MD5.test(md5) || (separator !== '  ' && separator !== ' *') || name === '') continue;
    sums.set(absolute(isEscaped ? unescapeName(name) : name), md5);
  }
  return sums;
}

function unescapeName(name: string): string {
  return name.replace(/\\([\\nr])/g, (_, letter: string) => (letter === 'n' ? '\n' : letter === 'r' ? '\r' : '\\'));
}

/** Some packages write `./usr/bin/x` or `/usr/bin/x`. */
function absolute(name: string): string {
  return `/${name.replace(/^\.?\/+/, '')}`;
}
