/**
 * The folders from a tree's root down to where a walk is. What is looked at is always in the folder that was entered, and
 * yet few are held open, however deep a tree somebody makes: one further up is opened again when the walk comes back to it,
 * and is the same inode then or none.
 */
import { closeFile, FileStatus, openBeneath, SysError } from '../../sys/index.ts';

/** So many of the last are open: RLIMIT_NOFILE is 1024 where nobody raised it. */
const MOST_OPEN = 64;

/** PATH_MAX of linux/limits.h, without its NUL: what no path from the root reaches, no label could name. */
const MAX_PATH = 4095;

/** As openBeneath takes it. */
const HERE = Buffer.from('.\0');

interface EnteredFolder {
  readonly path: Buffer;
  readonly inode: string;
  fd: number | undefined;
}

export class FolderTrail implements Disposable {
  readonly #root: number;
  readonly #folders: EnteredFolder[] = [];

  /** @param root descriptor of the tree's root, which stays open */
  constructor(root: number) {
    this.#root = root;
  }

  /**
   * Enters a folder of the one that was entered last; the first time the root, whatever the name.
   * @param name with the NUL that ends it @param path relative to the tree's root
   * @returns what it is @throws {SysError}
   */
  enter(name: Buffer, path: Buffer): FileStatus {
    if (path.length > MAX_PATH) {
      throw new SysError('sys.call-failed', 'the path is longer than the kernel takes', { errno: 'ENAMETOOLONG' });
    }
    const isTop = this.#folders.length === 0;
    const fd = openBeneath(isTop ? this.#root : this.fd, isTop ? HERE : name, { directory: true });
    const status = statusOf(fd);
    this.#folders.push({ path, inode: status.inode, fd });
    this.#close(this.#folders.at(-1 - MOST_OPEN));
    return status;
  }

  /** Descriptor of the folder that was entered last. @throws {SysError} `ESTALE` where another one is in its place by now */
  get fd(): number {
    const folder = this.#folders.at(-1);
    if (folder === undefined) return this.#root;
    folder.fd ??= this.#openAgain(folder);
    return folder.fd;
  }

  #openAgain({ path, inode }: EnteredFolder): number {
    const name = path.length === 0 ? HERE : Buffer.concat([path, Buffer.alloc(1)]);
    const fd = openBeneath(this.#root, name, { directory: true });
    if (statusOf(fd).inode === inode) return fd;
    closeFile(fd);
    throw new SysError('sys.call-failed', 'another folder is in its place', { errno: 'ESTALE' });
  }

  /** Goes back to the folder above. */
  leave(): void {
    this.#close(this.#folders.pop());
  }

  #close(folder: EnteredFolder | undefined): void {
    if (folder?.fd === undefined) return;
    closeFile(folder.fd);
    folder.fd = undefined;
  }

  [Symbol.dispose](): void {
    while (this.#folders.length > 0) this.leave();
  }
}

function statusOf(fd: number): FileStatus {
  try {
    return new FileStatus().ofOpen(fd);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}
