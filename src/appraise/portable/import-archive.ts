/** Takes the entries of an archive into a tree: what is missing is made, what is there with the same content is labelled. */
import { randomBytes } from 'node:crypto';
import { fchmodSync, futimesSync, readSync, writeSync } from 'node:fs';
import { closeFile, FileStatus, fsetXattr, MAX_XATTR_SIZE, openBeneath, SysError } from '../../sys/index.ts';
import { FileProblem } from '../problem.ts';
import { setMetadata, type Wanted } from './apply.ts';
import { CAPABILITY, inOrder, type LabelAttribute, labelAttribute } from './attributes.ts';
import type { EntryImport, ImportChange, ImportRun } from './import-run.ts';
import type { ArchiveEntry, ArchiveReader } from './tar/archive-reader.ts';
import { TYPE } from './tar/header.ts';
import { closeCreated, Folder, kernelCall } from './tree-calls.ts';
import { type TreePath, treePath, withNul } from './tree-path.ts';

const REGULAR = [TYPE.file, '\0', '7'];
const SPECIAL = ['3', '4', '6'];
const MAX_TARGET = 4095;
/** Failed entries that are remembered; after more, no hard link is made. */
const MAX_FAILED = 100_000;
const OWNER_MAY_ENTER = 0o700;

export class ArchiveImport implements EntryImport {
  readonly #run: ImportRun;
  readonly #reader: ArchiveReader;
  readonly #status = new FileStatus();
  readonly #after = new FileStatus();
  readonly #isRoot = process.geteuid?.() === 0;
  /** Paths of entries that were not taken: what the tree has there is not the archive's. */
  readonly #failed = new Set<string>();
  /** Folders that get their mode when all is in them. */
  readonly #closed: { readonly path: Buffer; readonly mode: number }[] = [];

  constructor(run: ImportRun, reader: ArchiveReader) {
    this.#run = run;
    this.#reader = reader;
  }

  next(): boolean {
    const entry = this.#reader.next();
    if (entry === undefined) return false;
    if (SPECIAL.includes(entry.type)) {
      this.#run.summary.special += 1;
      return true;
    }
    let path: TreePath | undefined;
    const isDone = this.#run.entry(entry.path, () => {
      path = treePath(entry.path);
      return this.#take(path, entry);
    });
    if (!isDone && path !== undefined && this.#failed.size < MAX_FAILED) this.#failed.add(keyOf(path));
    return true;
  }

  #take(path: TreePath, entry: ArchiveEntry): ImportChange {
    if (entry.isSparse) throw new FileProblem('unsupported-entry');
    if (REGULAR.includes(entry.type)) return this.#file(path, entry);
    switch (entry.type) {
      case TYPE.directory:
        return this.#directory(path, entry);
      case TYPE.symlink:
        return this.#symlink(path, entry);
      case TYPE.hardLink:
        return this.#hardLink(path, entry);
      default:
        throw new FileProblem('unsupported-entry');
    }
  }

  #file(path: TreePath, entry: ArchiveEntry): ImportChange {
    const wanted = this.#wanted(entry);
    const fd = this.#openIfThere(path);
    if (fd === undefined) {
      if (!this.#run.changesNothing) this.#create(path, entry, wanted);
      return 'created';
    }
    try {
      this.#compare(fd, entry);
      return this.#run.apply(fd, wanted);
    } finally {
      closeFile(fd);
    }
  }

  #compare(fd: number, entry: ArchiveEntry): void {
    if (!this.#status.ofOpen(fd).isRegular) throw new FileProblem('other-type');
    if (this.#status.size !== entry.size) throw new FileProblem('other-content');
    for (let part = this.#reader.read(); part !== undefined; part = this.#reader.read()) {
      if (!readWhole(fd, part.length).equals(part)) throw new FileProblem('other-content');
    }
    if (!this.#after.ofOpen(fd).hasContentOf(this.#status)) throw new FileProblem('changed');
    this.#run.summary.bytes += entry.size;
  }

  /** The file appears whole and labelled, or not at all. */
  #create(path: TreePath, entry: ArchiveEntry, wanted: Wanted): void {
    this.#within(path, (folder) => {
      const fd = folder.createUnnamed();
      if (fd === undefined) this.#createAside(folder, path, entry, wanted);
      else {
        try {
          this.#fill(fd, wanted, entry);
          folder.name(path.name, fd);
        } finally {
          closeCreated(fd);
        }
      }
    });
    this.#run.summary.bytes += entry.size;
  }

  /** Where every file has a name: one of its own first, which stays behind where the process is killed. */
  #createAside(folder: Folder, path: TreePath, entry: ArchiveEntry, wanted: Wanted): void {
    const aside = Buffer.from(`.assay-${randomBytes(8).toString('hex')}.new`);
    const fd = folder.create(aside);
    try {
      this.#fill(fd, wanted, entry);
      folder.link(path.name, folder, aside);
    } finally {
      closeCreated(fd);
      folder.unlink(aside);
    }
  }

  #fill(fd: number, wanted: Wanted, entry: ArchiveEntry): void {
    for (let part = this.#reader.read(); part !== undefined; part = this.#reader.read()) writeWhole(fd, part);
    setMetadata(fd, this.#status.ofOpen(fd), this.#own(wanted));
    kernelCall(() => futimesSync(fd, entry.mtime, entry.mtime));
    for (const [name, value] of inOrder(this.#run.portable(wanted.labels))) fsetXattr(fd, name, value);
  }

  /** Only root can give files away, and capabilities; who is not keeps what he makes, as tar(1) does. */
  #own(wanted: Wanted): Wanted {
    const { uid, gid } = this.#status;
    const { mode, labels } = wanted;
    return this.#isRoot ? wanted : { mode, labels, uid, gid };
  }

  #directory(path: TreePath, entry: ArchiveEntry): ImportChange {
    const wanted = this.#wanted(entry);
    const fd = this.#openIfThere(path, true);
    if (fd === undefined) {
      if (!this.#run.changesNothing) this.#createDirectory(path, wanted);
      return 'created';
    }
    try {
      return this.#run.apply(fd, wanted);
    } finally {
      closeFile(fd);
    }
  }

  #createDirectory(path: TreePath, wanted: Wanted): void {
    this.#within(path, (folder) => folder.makeFolder(path.name));
    const fd = openBeneath(this.#run.root, withNul(path.bytes), { directory: true });
    try {
      const { mode } = wanted;
      // Who is not root could put nothing into a folder that its owner may not write to.
      const isClosed = !this.#isRoot && (mode & OWNER_MAY_ENTER) !== OWNER_MAY_ENTER;
      if (isClosed) this.#closed.push({ path: path.bytes, mode });
      const own = this.#own(wanted);
      setMetadata(fd, this.#status.ofOpen(fd), { ...own, mode: isClosed ? mode | OWNER_MAY_ENTER : mode });
      for (const [name, value] of inOrder(this.#run.portable(wanted.labels))) fsetXattr(fd, name, value);
    } finally {
      closeFile(fd);
    }
  }

  #symlink(path: TreePath, { link, uid, gid }: ArchiveEntry): ImportChange {
    if (link.length === 0 || link.length > MAX_TARGET || link.includes(0)) throw new FileProblem('unsafe-path');
    const old = this.#targetIfThere(path);
    if (old !== undefined) {
      if (!old.equals(link)) throw new FileProblem('other-content');
      return 'same';
    }
    if (!this.#run.changesNothing) {
      this.#within(path, (folder) => {
        folder.symlink(path.name, link);
        if (this.#isRoot) folder.chownLink(path.name, uid, gid);
      });
    }
    return 'created';
  }

  #targetIfThere(path: TreePath): Buffer | undefined {
    if (path.name.length === 0) throw new FileProblem('other-type');
    return unlessMissing(() => {
      const folder = new Folder(this.#run.root, path.folder);
      try {
        return folder.readlink(path.name);
      } catch (error) {
        // No link at all.
        if (error instanceof SysError && error.errno === 'EINVAL') throw new FileProblem('other-type');
        throw error;
      } finally {
        folder.close();
      }
    });
  }

  #hardLink(path: TreePath, entry: ArchiveEntry): ImportChange {
    const first = treePath(entry.link);
    const isTaken = this.#failed.size < MAX_FAILED && !this.#failed.has(keyOf(first));
    const target = isTaken ? this.#inodeIfThere(first) : undefined;
    const own = this.#inodeIfThere(path);
    if (target === undefined && !(isTaken && this.#run.changesNothing)) throw new FileProblem('missing');
    if (own !== undefined) {
      if (own !== target) throw new FileProblem('other-file');
      return 'same';
    }
    if (!this.#run.changesNothing) {
      this.#within(path, (folder) => {
        const from = new Folder(this.#run.root, first.folder);
        try {
          folder.link(path.name, from, first.name);
        } finally {
          from.close();
        }
      });
    }
    return 'created';
  }

  #inodeIfThere(path: TreePath): string | undefined {
    const fd = this.#openIfThere(path);
    if (fd === undefined) return undefined;
    try {
      if (!this.#status.ofOpen(fd).isRegular) throw new FileProblem('other-type');
      return this.#status.inode;
    } finally {
      closeFile(fd);
    }
  }

  #openIfThere(path: TreePath, directory = false): number | undefined {
    return unlessMissing(() => openBeneath(this.#run.root, withNul(path.bytes), { directory }));
  }

  /** Opens the folder that is to hold the entry; makes it where the archive did not. */
  #within(path: TreePath, use: (folder: Folder) => void): void {
    if (path.name.length === 0) throw new FileProblem('other-type');
    const folder = this.#folder(path.folder);
    try {
      use(folder);
    } finally {
      folder.close();
    }
  }

  #folder(path: Buffer): Folder {
    const there = unlessMissing(() => new Folder(this.#run.root, path));
    if (there !== undefined) return there;
    let at = 0;
    for (let end = 0; end < path.length; at = end + 1) {
      const slash = path.indexOf('/', at);
      end = slash < 0 ? path.length : slash;
      this.#makeFolder(path.subarray(0, Math.max(at - 1, 0)), path.subarray(at, end));
    }
    return new Folder(this.#run.root, path);
  }

  #makeFolder(above: Buffer, name: Buffer): void {
    const folder = new Folder(this.#run.root, above);
    try {
      folder.makeFolder(name);
    } catch (error) {
      if (!(error instanceof SysError) || error.errno !== 'EEXIST') throw error;
    } finally {
      folder.close();
    }
  }

  #wanted({ mode, uid, gid, xattrs }: ArchiveEntry): Wanted {
    const labels = new Map<LabelAttribute, Uint8Array>();
    for (const [name, value] of xattrs) {
      const known = labelAttribute(name);
      if (known === undefined && name !== CAPABILITY) continue;
      if (value.length > MAX_XATTR_SIZE) throw new FileProblem('no-xattr-room');
      if (known !== undefined) labels.set(known, value);
    }
    const capability = xattrs.get(CAPABILITY);
    return { mode, uid, gid, labels, ...(capability === undefined ? {} : { capability }) };
  }

  end(): void {
    for (const { path, mode } of this.#closed.reverse()) {
      const fd = openBeneath(this.#run.root, withNul(path), { directory: true });
      try {
        kernelCall(() => fchmodSync(fd, mode));
      } finally {
        closeFile(fd);
      }
    }
  }
}

const keyOf = ({ bytes }: TreePath): string => bytes.toString('latin1');

/** @throws {FileProblem} where a part of the path is no folder */
function unlessMissing<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof SysError && error.errno === 'ENOENT') return undefined;
    if (error instanceof SysError && error.errno === 'ENOTDIR') throw new FileProblem('other-type');
    throw error;
  }
}

const COMPARED = Buffer.allocUnsafeSlow(1 << 18);

/** As many bytes, or fewer at the end of the file; a view. @param count at most 256 KiB */
function readWhole(fd: number, count: number): Buffer {
  let filled = 0;
  for (let got = 1; filled < count && got > 0; filled += got) {
    got = kernelCall(() => readSync(fd, COMPARED, filled, count - filled, null));
  }
  return COMPARED.subarray(0, filled);
}

function writeWhole(fd: number, part: Uint8Array): void {
  for (let at = 0; at < part.length; ) at += kernelCall(() => writeSync(fd, part, at));
}
