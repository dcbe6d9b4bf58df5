/**
 * Calls of node:fs that name one entry of a folder which is held open, through /proc/self/fd: what was checked by openat2
 * cannot be exchanged meanwhile. Only calls that do not follow a link in that last part are here.
 */
import {
  closeSync,
  constants,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  readlinkSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { closeFile, nameFile, openBeneath, openUnnamed, SysError } from '../../sys/index.ts';
import { withNul } from './tree-path.ts';

/** Runs a call of node:fs upon the tree; its refusal becomes one file's problem. @throws {SysError} */
export function kernelCall<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    if (!(cause instanceof Error) || !('code' in cause) || typeof cause.code !== 'string') throw cause;
    throw new SysError('sys.call-failed', cause.message, { errno: cause.code, cause });
  }
}

/** An open folder of the tree. */
export class Folder {
  readonly fd: number;

  /** @param root descriptor @param path beneath it @throws {SysError} */
  constructor(root: number, path: Uint8Array) {
    this.fd = openBeneath(root, withNul(path), { directory: true });
  }

  #at(name: Uint8Array): Buffer {
    return Buffer.concat([Buffer.from(`/proc/self/fd/${this.fd}/`), name]);
  }

  makeFolder(name: Uint8Array): void {
    kernelCall(() => mkdirSync(this.#at(name), 0o700));
  }

  /** A descriptor that is read and written; nothing of this name may be there. */
  create(name: Uint8Array): number {
    const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    return kernelCall(() => openSync(this.#at(name), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
  }

  /** A descriptor of a file that has no name yet; undefined where the file system has none such. */
  createUnnamed(): number | undefined {
    return kernelCall(() => openUnnamed(`/proc/self/fd/${this.fd}/.`));
  }

  /** Gives a file of {@link createUnnamed} its name; EEXIST where it is taken. */
  name(name: Uint8Array, fd: number): void {
    nameFile(fd, this.#at(name));
  }

  /** Gives a file one more name; EEXIST where it is taken. */
  link(name: Uint8Array, from: Folder, existing: Uint8Array): void {
    kernelCall(() => linkSync(from.#at(existing), this.#at(name)));
  }

  symlink(name: Uint8Array, target: Uint8Array): void {
    kernelCall(() => symlinkSync(Buffer.from(target), this.#at(name)));
  }

  readlink(name: Uint8Array): Buffer {
    return kernelCall(() => readlinkSync(this.#at(name), 'buffer'));
  }

  chownLink(name: Uint8Array, uid: number, gid: number): void {
    kernelCall(() => lchownSync(this.#at(name), uid, gid));
  }

  unlink(name: Uint8Array): void {
    kernelCall(() => unlinkSync(this.#at(name)));
  }

  close(): void {
    closeFile(this.fd);
  }
}

/** Closes a descriptor of {@link Folder.create} or {@link Folder.createUnnamed}. */
export const closeCreated = (fd: number): void => closeSync(fd);
