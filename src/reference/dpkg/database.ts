import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FileLists } from './file-lists.ts';
import { type Diversion, type InstalledPackage, parseDiversions, parseMd5sums, parseStatus } from './parse.ts';

/** What a package says about one path on disk. */
export interface PackagedFile {
  /** `coreutils`, `libc6:amd64`. */
  readonly packageName: string;
  readonly version: string;
  /** MD5 in hex of the file as shipped; undefined where the package carries no checksum of it. */
  readonly md5: string | undefined;
}

/** Folders that may be links into /usr (usr-merge): a package may then ship a file under the one name that runs under the other. */
const MERGED = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'libo32'];

/** The dpkg database of a machine, read as far as the questions need it. Paths are latin1 texts, one character a byte. */
export class DpkgDatabase {
  static #opened: { root: string; stamp: string; database: DpkgDatabase } | undefined;
  readonly #folder: string;
  readonly #aliases: readonly (readonly [target: string, link: string])[];
  readonly #diversions: readonly Diversion[];
  /** `name` and `name:architecture`: the two ways in which the files of `info` are named. */
  readonly #packages = new Map<string, InstalledPackage>();
  readonly #checksums = new Map<string, ReadonlyMap<string, string>>();
  #lists: FileLists | undefined;

  private constructor(root: string, folder: string) {
    this.#folder = folder;
    this.#aliases = usrMergeAliases(root);
    this.#diversions = parseDiversions(readOptional(join(folder, 'diversions')));
    for (const one of parseStatus(readFileSync(join(folder, 'status'), 'latin1'))) {
      this.#packages.set(`${one.name}:${one.architecture}`, one);
      this.#packages.set(one.name, one);
    }
  }

  /**
   * The database as it is now; read again only where dpkg has changed it.
   * @returns undefined where this machine (or the tree at `root`) is not kept by dpkg
   */
  static open(root = '/'): DpkgDatabase | undefined {
    const folder = join(root, 'var/lib/dpkg');
    try {
      const stamp = stampOf(folder);
      const last = DpkgDatabase.#opened;
      if (last?.root === root && last.stamp === stamp) return last.database;
      const database = new DpkgDatabase(root, folder);
      DpkgDatabase.#opened = { root, stamp, database };
      return database;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /**
   * Who ships the asked paths. Reads every package's file list once (0.1 s), and the checksums of only those packages
   * that own one of the paths.
   * @returns path → its packages; a path that no package owns is not in it
   */
  ownersOf(paths: Iterable<string>): Map<string, PackagedFile[]> {
    const wanted = this.#shippedNames(paths);
    const owners = new Map<string, PackagedFile[]>();
    this.#lists ??= new FileLists(join(this.#folder, 'info'));
    this.#lists.find(new Set(wanted.keys()), (name, packageName) => {
      for (const path of wanted.get(name) ?? []) {
        if (!this.#isInstalledAs(name, path, packageName)) continue;
        const owner = this.#packagedFile(packageName, name);
        if (owner !== undefined) owners.set(path, [...(owners.get(path) ?? []), owner]);
      }
    });
    return owners;
  }

  /** Every name under which a package may ship a file that is at one of `paths`. */
  #shippedNames(paths: Iterable<string>): Map<string, Set<string>> {
    const wanted = new Map<string, Set<string>>();
    const want = (name: string, path: string) => wanted.set(name, (wanted.get(name) ?? new Set()).add(path));
    for (const path of paths) {
      for (const name of this.#namesOf(path)) {
        want(name, path);
        for (const { from, to } of this.#diversions) if (to === name) want(from, path);
      }
    }
    return wanted;
  }

  #namesOf(path: string): string[] {
    const aliases = this.#aliases.filter(([target]) => path.startsWith(`${target}/`));
    return [path, ...aliases.map(([target, link]) => link + path.slice(target.length))];
  }

  /** Whether the file that `packageName` ships as `name` lies at `path`, diversions considered. */
  #isInstalledAs(name: string, path: string, packageName: string): boolean {
    const bare = packageName.split(':')[0];
    const names = this.#namesOf(name);
    const diversion = this.#diversions.find((one) => names.includes(one.from) && one.by !== bare);
    const place = diversion?.to ?? name;
    return this.#namesOf(path).includes(place);
  }

  #packagedFile(packageName: string, name: string): PackagedFile | undefined {
    const installed = this.#packages.get(packageName);
    if (installed === undefined) return undefined;
    const md5 = this.#checksumsOf(packageName).get(name) ?? installed.conffiles.get(name);
    return { packageName, version: installed.version, md5 };
  }

  #checksumsOf(packageName: string): ReadonlyMap<string, string> {
    let sums = this.#checksums.get(packageName);
    if (sums === undefined) {
      sums = parseMd5sums(readOptional(join(this.#folder, 'info', `${packageName}.md5sums`)));
      this.#checksums.set(packageName, sums);
    }
    return sums;
  }
}

/** dpkg replaces its files by renaming: each change moves the times of their folders. */
function stampOf(folder: string): string {
  return [folder, join(folder, 'info')].map((path) => statSync(path, { bigint: true }).mtimeNs).join(' ');
}

function usrMergeAliases(root: string): (readonly [string, string])[] {
  return MERGED.flatMap((name) => {
    try {
      const target = readlinkSync(join(root, name)).replace(/^\/+|\/+$/g, '');
      return target === `usr/${name}` ? [[`/usr/${name}`, `/${name}`] as const] : [];
    } catch {
      return []; // not there, or a folder of its own: no alias
    }
  });
}

function readOptional(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}
