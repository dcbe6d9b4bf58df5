/** Reads a tree's directories from the leaves up: each with its entries, their digests, and its own. */
import { readlinkSync } from 'node:fs';
import { closeFile, FileStatus, fgetXattr, openBeneath, readDirectory } from '../../sys/index.ts';
import { type Problem, problemOf } from '../problem.ts';
import { type DirectoryEntry, deviceDigest, emptyDigest, linkDigest, sortedEntries } from './entry.ts';
import type { FileDigests } from './file-digests.ts';
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
  new TreeReader(root, options).directory(root, ROOT, Buffer.alloc(0));
}

/** As openBeneath takes it. */
const ROOT = Buffer.from('.\0');
const SLASH = Buffer.from('/');

interface ListedName {
  /** With the NUL that ends it. */
  readonly name: Buffer;
  /** Of the inode in the folder, under whatever is mounted upon it. */
  readonly hiddenIno: bigint;
}

class TreeReader {
  readonly #options: ReadTreeOptions;
  readonly #device: string;

  constructor(root: number, options: ReadTreeOptions) {
    this.#options = options;
    this.#device = new FileStatus().ofOpen(root).device;
  }

  /**
   * @param above descriptor of the folder that holds it: what is looked at is always in the folder that was entered
   * @param name with the NUL that ends it @param path relative to the tree's root
   * @returns undefined where something beneath could not be read
   */
  directory(above: number, name: Buffer, path: Buffer): Uint8Array | undefined {
    const { form, digests, attribute, onDirectory, onProblem } = this.#options;
    let fd: number | undefined;
    try {
      fd = openBeneath(above, name, { directory: true });
      const ino = new FileStatus().ofOpen(fd).ino;
      const entries = this.#entries(path, fd);
      if (entries === undefined) return undefined;
      const digest = directoryDigest(form, digests.algorithm, entries, ino);
      const label = fgetXattr(fd, attribute);
      onDirectory({ path, ino, entries, digest, label }, fd);
      return digest;
    } catch (error) {
      onProblem({ path, ...problemOf(error) });
      return undefined;
    } finally {
      if (fd !== undefined) closeFile(fd);
    }
  }

  #entries(folder: Buffer, fd: number): DirectoryEntry[] | undefined {
    const names: ListedName[] = [];
    readDirectory(fd, (name, _, ino) => {
      names.push({ name: Buffer.from(name), hiddenIno: ino() });
    });
    const entries: DirectoryEntry[] = [];
    for (const listed of names) {
      const own = listed.name.subarray(0, -1);
      const entry = this.#entry(fd, listed, folder.length === 0 ? own : Buffer.concat([folder, SLASH, own]));
      if (entry !== undefined) entries.push(entry);
    }
    return entries.length === names.length ? sortedEntries(entries) : undefined;
  }

  #entry(folder: number, { name, hiddenIno }: ListedName, path: Buffer): DirectoryEntry | undefined {
    try {
      const status = new FileStatus().beneath(folder, name);
      const own = { name: name.subarray(0, -1), type: status.type };
      if (status.isMountPoint ?? status.device !== this.#device) {
        const digest = status.type === 'directory' ? this.#emptyDirectory(hiddenIno) : this.#nothing();
        return { ...own, digest, ino: hiddenIno };
      }
      const digest = this.#digestOf(folder, name, path, status);
      return digest && { ...own, digest, ino: status.ino };
    } catch (error) {
      this.#options.onProblem({ path, ...problemOf(error) });
      return undefined;
    }
  }

  #digestOf(folder: number, name: Buffer, path: Buffer, status: FileStatus): Uint8Array | undefined {
    const { digests } = this.#options;
    switch (status.type) {
      case 'file':
        return digests.of(path, folder, name, status);
      case 'directory':
        return this.directory(folder, name, path);
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
}
