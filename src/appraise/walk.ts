/**
 * Walks a tree and gives its regular files in batches, lazily: memory does not grow with the tree. No symbolic link is
 * followed, so a loop of them is no loop here; names are bytes. What cannot be entered is a problem of that folder alone.
 */
import { readlinkSync, statfsSync } from 'node:fs';
import { closeFile, type EntryType, FileStatus, openBeneath, readDirectory } from '../sys/index.ts';
import { isKernelFileSystem } from './file-systems.ts';
import { type PathFilter, pathFilter } from './path-filter.ts';
import { PathList, withoutNul } from './paths.ts';
import { type Problem, problemOf } from './problem.ts';

/** A few milliseconds of hashing: long enough to be worth a message, short enough that threads end together. */
const BATCH = 256;

export interface WalkOptions {
  /** Do not cross mount points. */
  readonly oneFileSystem?: boolean;
  /** Only files whose path beneath the root matches one of these globs (see path-filter.ts). */
  readonly include?: readonly string[];
  /** Neither files nor folders whose path matches one of these. */
  readonly exclude?: readonly string[];
  /** One path that is left out: the run's own journal. */
  readonly leaveOut?: Uint8Array;
  /** Only on file systems with one of these magic numbers (statfs(2)); the kernel's own are left out in any case. */
  readonly fileSystems?: ReadonlySet<number>;
  /** Hears of each entry that is no regular file, link targets included. */
  readonly onOther?: (entry: OtherEntry) => void;
}

/** A folder, link or special file that the walk passed. */
export interface OtherEntry {
  /** Relative to the root, no NUL. */
  readonly path: Uint8Array;
  readonly type: Exclude<EntryType, 'file' | 'unknown'>;
  /** Of a symbolic link. */
  readonly target?: Uint8Array;
}

export interface WalkCounts {
  files: number;
  directories: number;
  symlinks: number;
  /** FIFOs, sockets and devices: they bear no IMA label. */
  special: number;
  /** Folders, and files upon which something is mounted, left out because of their file system. */
  otherFileSystems: number;
}

/** What is asked of its entries is asked by its descriptor: a path could lead elsewhere by then. */
interface OpenFolder {
  readonly path: Buffer;
  readonly fd: number;
}

export class TreeWalk {
  readonly counts: WalkCounts = { files: 0, directories: 0, symlinks: 0, special: 0, otherFileSystems: 0 };
  readonly problems: Problem[] = [];
  readonly #root: number;
  readonly #options: WalkOptions;
  readonly #filters: boolean;
  readonly #include: readonly PathFilter[];
  readonly #exclude: readonly PathFilter[];
  readonly #list = new PathList();
  readonly #full: Uint8Array[] = [];
  readonly #folders: Buffer[] = [Buffer.alloc(0)];
  readonly #status = new FileStatus();

  /** @param root descriptor of the folder, open as long as the walk lasts */
  constructor(root: number, options: WalkOptions = {}) {
    this.#root = root;
    this.#options = options;
    this.#include = (options.include ?? []).map(pathFilter);
    this.#exclude = (options.exclude ?? []).map(pathFilter);
    this.#filters = this.#include.length > 0 || this.#exclude.length > 0 || options.leaveOut !== undefined;
  }

  /** Batches of paths (see paths.ts). */
  *batches(): Generator<Uint8Array> {
    for (let folder = this.#folders.pop(); folder !== undefined; folder = this.#folders.pop()) {
      this.#enter(folder);
      yield* this.#full.splice(0);
    }
    if (this.#list.count > 0) yield this.#list.take();
  }

  #enter(folder: Buffer): void {
    const path = folder.length === 0 ? Buffer.from('.\0') : Buffer.concat([folder, Buffer.alloc(1)]);
    let fd: number | undefined;
    try {
      fd = openBeneath(this.#root, path, { directory: true, oneFileSystem: this.#options.oneFileSystem === true });
      if (!this.#isWanted(fd)) return;
      this.counts.directories += 1;
      this.#options.onOther?.({ path: folder, type: 'directory' });
      const opened = { path: folder, fd };
      readDirectory(fd, (name, type) => this.#take(opened, name, type));
    } catch (error) {
      const problem = problemOf(error);
      if (problem.errno === 'EXDEV') this.counts.otherFileSystems += 1;
      else this.problems.push({ path: folder, ...problem });
    } finally {
      if (fd !== undefined) closeFile(fd);
    }
  }

  #isWanted(fd: number): boolean {
    const magic = statfsSync(`/proc/self/fd/${fd}`).type;
    const { fileSystems } = this.#options;
    const wanted = !isKernelFileSystem(magic) && (fileSystems === undefined || fileSystems.has(magic));
    if (!wanted) this.counts.otherFileSystems += 1;
    return wanted;
  }

  #take(folder: OpenFolder, name: Buffer, given: EntryType): void {
    const type = given === 'unknown' ? this.#typeOf(folder, name) : given;
    if (type === undefined || (this.#filters && !this.#passes(join(folder.path, name), type))) return;
    if (type === 'file') {
      this.counts.files += 1;
      this.#list.add(folder.path, name);
      if (this.#list.count === BATCH) this.#full.push(this.#list.take());
    } else if (type === 'directory') {
      this.#folders.push(join(folder.path, name));
    } else {
      this.counts[type === 'link' ? 'symlinks' : 'special'] += 1;
      if (this.#options.onOther !== undefined) this.#reportOther(folder, name, type);
    }
  }

  /** Some file systems leave the type out of a folder's entries. */
  #typeOf(folder: OpenFolder, name: Buffer): Exclude<EntryType, 'unknown'> | undefined {
    try {
      return this.#status.beneath(folder.fd, name).type;
    } catch (error) {
      this.problems.push({ path: join(folder.path, name), ...problemOf(error) });
      return undefined;
    }
  }

  #passes(path: Buffer, type: EntryType): boolean {
    const text = path.toString();
    const { leaveOut } = this.#options;
    if (leaveOut !== undefined && path.equals(leaveOut)) return false;
    if (this.#exclude.some((passes) => passes(text))) return false;
    return type !== 'file' || this.#include.length === 0 || this.#include.some((passes) => passes(text));
  }

  #reportOther(folder: OpenFolder, name: Buffer, type: Exclude<EntryType, 'file' | 'directory' | 'unknown'>): void {
    const path = join(folder.path, name);
    if (type !== 'link') {
      this.#options.onOther?.({ path, type });
      return;
    }
    const link = Buffer.concat([Buffer.from(`/proc/self/fd/${folder.fd}/`), withoutNul(name)]);
    try {
      this.#options.onOther?.({ path, type, target: readlinkSync(link, 'buffer') });
    } catch (error) {
      const errno = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
      this.problems.push({ path, code: errno === 'ENOENT' ? 'vanished' : 'other', errno });
    }
  }
}

function join(folder: Buffer, name: Uint8Array): Buffer {
  const own = Buffer.from(withoutNul(name));
  return folder.length === 0 ? own : Buffer.concat([folder, Buffer.from('/'), own]);
}
