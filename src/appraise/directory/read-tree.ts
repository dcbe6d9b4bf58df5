/** Reads a tree's directories from the leaves up: each with its entries, their digests, and its own. */
import { readlinkSync } from 'node:fs';
import { closeFile, FileStatus, fgetXattr, openBeneath, readDirectory } from '../../sys/index.ts';
import { type Problem, problemOf } from '../problem.ts';
import { type DirectoryEntry, deviceDigest, type EntryType, emptyDigest, linkDigest, sortedEntries } from './entry.ts';
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
  /** See `FileDigests.of`. */
  readonly trusts?: string;
  /** Hears of each directory after those beneath it; `fd` is open for the call. */
  readonly onDirectory: (node: DirectoryNode, fd: number) => void;
  /** An entry that cannot be read: its directory then has no digest, nor has any above. */
  readonly onProblem: (problem: Problem) => void;
}

/**
 * What lies on other file systems is not entered: a mount point counts as an empty directory, whatever is mounted there.
 * @param root descriptor of the tree's root
 */
export function readTree(root: number, options: ReadTreeOptions): void {
  new TreeReader(root, options).directory(Buffer.alloc(0));
}

const NUL = Buffer.alloc(1);
const SLASH = Buffer.from('/');

class TreeReader {
  readonly #root: number;
  readonly #options: ReadTreeOptions;
  readonly #device: string;

  constructor(root: number, options: ReadTreeOptions) {
    this.#root = root;
    this.#options = options;
    this.#device = new FileStatus().ofOpen(root).device;
  }

  /** @returns undefined where something beneath could not be read */
  directory(path: Buffer): Uint8Array | undefined {
    const { form, digests, attribute, onDirectory, onProblem } = this.#options;
    let fd: number | undefined;
    try {
      fd = openBeneath(this.#root, path.length === 0 ? Buffer.from('.\0') : Buffer.concat([path, NUL]), {
        directory: true,
      });
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
    const names: Buffer[] = [];
    readDirectory(fd, (name) => {
      names.push(Buffer.from(name.subarray(0, -1)));
    });
    const entries: DirectoryEntry[] = [];
    for (const name of names) {
      const path = folder.length === 0 ? name : Buffer.concat([folder, SLASH, name]);
      const entry = this.#entry(name, path);
      if (entry !== undefined) entries.push(entry);
    }
    return entries.length === names.length ? sortedEntries(entries) : undefined;
  }

  #entry(name: Buffer, path: Buffer): DirectoryEntry | undefined {
    try {
      const status = new FileStatus().beneath(this.#root, Buffer.concat([path, NUL]));
      const type = status.type;
      const digest = status.device === this.#device ? this.#digestOf(type, path, status) : this.#nothing();
      return digest === undefined ? undefined : { name, type, digest, ino: status.ino };
    } catch (error) {
      this.#options.onProblem({ path, ...problemOf(error) });
      return undefined;
    }
  }

  #digestOf(type: EntryType, path: Buffer, status: FileStatus): Uint8Array | undefined {
    const { digests, trusts } = this.#options;
    const { algorithm } = digests;
    switch (type) {
      case 'file':
        return digests.of(this.#root, path, status, trusts);
      case 'directory':
        return this.directory(path);
      case 'link':
        return this.#linkDigest(path);
      case 'char-device':
      case 'block-device':
        return deviceDigest(algorithm, status.representedDevice);
      default:
        return this.#nothing();
    }
  }

  #linkDigest(path: Buffer): Uint8Array | undefined {
    try {
      const target = readlinkSync(Buffer.concat([Buffer.from(`/proc/self/fd/${this.#root}/`), path]), 'buffer');
      return linkDigest(this.#options.digests.algorithm, target);
    } catch {
      this.#options.onProblem({ path, code: 'vanished' });
      return undefined;
    }
  }

  #nothing(): Uint8Array {
    return emptyDigest(this.#options.digests.algorithm);
  }
}
