/** Reads a tree's directories from the leaves up: each with its entries, their digests, and its own. */
import { readlinkSync } from 'node:fs';
import { FileStatus, fgetXattr, readDirectory } from '../../sys/index.ts';
import { type Problem, problemOf } from '../problem.ts';
import { type DirectoryEntry, deviceDigest, emptyDigest, linkDigest, sortedEntries } from './entry.ts';
import type { FileDigests } from './file-digests.ts';
import { FolderTrail } from './folder-trail.ts';
import { directoryDigest, type LabelForm } from './merkle.ts';

export interface DirectoryNode {
  /** Relative to the tree's root; empty for the root. */
  readonly path: Uint8Array;
  readonly ino: bigint;
  /** Sorted. */
  readonly entries: readonly DirectoryEntry[];
  readonly digest: Uint8Array;
  /** Value of the label's attribute. */
  readonly label: Uint8Array | undefined;
}

export interface ReadTreeOptions {
  readonly form: LabelForm;
  readonly digests: FileDigests;
  /** The label's attribute. */
  readonly attribute: string;
  /** Hears of each directory after those beneath it; `fd` is open for the call. */
  readonly onDirectory: (node: DirectoryNode, fd: number) => void;
  /** An entry that cannot be read: its directory then has no digest, nor has any above. */
  readonly onProblem: (problem: Problem) => void;
}

/**
 * What is mounted within the tree is not entered: a mount point counts as the empty directory that it is when nothing is
 * mounted there.
 * @param root descriptor of the tree's root
 */
export function readTree(root: number, options: ReadTreeOptions): void {
  using reader = new TreeReader(root, options);
  reader.read();
}

const SLASH = Buffer.from('/');

interface ListedName {
  /** With the NUL that ends it. */
  readonly name: Buffer;
  /** Of the inode in the folder, under whatever is mounted upon it. */
  readonly hiddenIno: bigint;
}

/** A directory that is being read: those beneath it come in between. */
interface OpenDirectory {
  readonly path: Buffer;
  readonly ino: bigint;
  /** What it is to the one above, but for its digest. */
  readonly own: Omit<DirectoryEntry, 'digest'>;
  /** Undefined until they are read. */
  names: readonly ListedName[] | undefined;
  /** How many of the names were taken. */
  taken: number;
  readonly entries: DirectoryEntry[];
}

/** The root is nobody's entry. */
const NO_NAME = Buffer.alloc(1);

/** Without recursion: who makes the tree decides how deep it is. */
class TreeReader implements Disposable {
  readonly #options: ReadTreeOptions;
  readonly #device: string;
  readonly #trail: FolderTrail;
  /** From the root down, as the trail has them. */
  readonly #open: OpenDirectory[] = [];

  constructor(root: number, options: ReadTreeOptions) {
    this.#options = options;
    this.#device = new FileStatus().ofOpen(root).device;
    this.#trail = new FolderTrail(root);
  }

  read(): void {
    this.#enter(NO_NAME, Buffer.alloc(0), 0n);
    for (let last = this.#open.at(-1); last !== undefined; last = this.#open.at(-1)) this.#goOn(last);
  }

  /** @param name with the NUL that ends it @param path relative to the tree's root @param ino as the one above has it */
  #enter(name: Buffer, path: Buffer, ino: bigint): void {
    try {
      const status = this.#trail.enter(name, path);
      const own = { name: name.subarray(0, -1), type: 'directory', ino } as const;
      this.#open.push({ path, ino: status.ino, own, names: undefined, taken: 0, entries: [] });
    } catch (error) {
      this.#options.onProblem({ path, ...problemOf(error) });
    }
  }

  /** Takes names up to one that is a directory and was entered, or all that are left. */
  #goOn(directory: OpenDirectory): void {
    try {
      const folder = this.#trail.fd;
      directory.names ??= namesIn(folder);
      while (this.#open.at(-1) === directory) {
        const listed = directory.names[directory.taken];
        directory.taken += 1;
        if (listed !== undefined) this.#take(directory, folder, listed);
        else this.#leave(directory, this.#see(directory, folder));
      }
    } catch (error) {
      this.#options.onProblem({ path: directory.path, ...problemOf(error) });
      this.#leave(directory, undefined);
    }
  }

  /** @returns undefined where something beneath could not be read */
  #see({ path, ino, names = [], entries }: OpenDirectory, fd: number): Uint8Array | undefined {
    if (entries.length < names.length) return undefined;
    const { form, digests, attribute, onDirectory } = this.#options;
    const sorted = sortedEntries(entries);
    const digest = directoryDigest(form, digests.algorithm, sorted, ino);
    onDirectory({ path, ino, entries: sorted, digest, label: fgetXattr(fd, attribute) }, fd);
    return digest;
  }

  /** Goes back to the one above, which has this one as an entry then if it has a digest. */
  #leave({ own }: OpenDirectory, digest: Uint8Array | undefined): void {
    this.#trail.leave();
    this.#open.pop();
    if (digest !== undefined) this.#open.at(-1)?.entries.push({ ...own, digest });
  }

  #take({ path: folderPath, entries }: OpenDirectory, folder: number, { name, hiddenIno }: ListedName): void {
    const bare = name.subarray(0, -1);
    const path = folderPath.length === 0 ? bare : Buffer.concat([folderPath, SLASH, bare]);
    try {
      const status = new FileStatus().beneath(folder, name);
      const { type } = status;
      if (status.isMountPoint ?? status.device !== this.#device) {
        const digest = type === 'directory' ? this.#emptyDirectory(hiddenIno) : this.#nothing();
        entries.push({ name: bare, type, digest, ino: hiddenIno });
      } else if (type === 'directory') {
        this.#enter(name, path, status.ino);
      } else {
        const digest = this.#digestOf(folder, name, path, status);
        if (digest !== undefined) entries.push({ name: bare, type, digest, ino: status.ino });
      }
    } catch (error) {
      this.#options.onProblem({ path, ...problemOf(error) });
    }
  }

  #digestOf(folder: number, name: Buffer, path: Buffer, status: FileStatus): Uint8Array | undefined {
    const { digests } = this.#options;
    switch (status.type) {
      case 'file':
        return digests.of(path, folder, name, status);
      case 'link':
        return this.#linkDigest(folder, name, path);
      case 'char-device':
      case 'block-device':
        return deviceDigest(digests.algorithm, status.representedDevice);
      default:
        return this.#nothing();
    }
  }

  #linkDigest(folder: number, name: Buffer, path: Buffer): Uint8Array | undefined {
    try {
      const target = readlinkSync(
        Buffer.concat([Buffer.from(`/proc/self/fd/${folder}/`), name.subarray(0, -1)]),
        'buffer',
      );
      return linkDigest(this.#options.digests.algorithm, target);
    } catch {
      this.#options.onProblem({ path, code: 'vanished' });
      return undefined;
    }
  }

  #emptyDirectory(ino: bigint): Uint8Array {
    const { form, digests } = this.#options;
    return directoryDigest(form, digests.algorithm, [], ino);
  }

  #nothing(): Uint8Array {
    return emptyDigest(this.#options.digests.algorithm);
  }

  [Symbol.dispose](): void {
    this.#trail[Symbol.dispose]();
  }
}

function namesIn(folder: number): ListedName[] {
  const names: ListedName[] = [];
  readDirectory(folder, (name, _, ino) => {
    names.push({ name: Buffer.from(name), hiddenIno: ino() });
  });
  return names;
}
