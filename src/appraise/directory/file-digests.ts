/** Digests of a tree's files: those that a run over the tree has computed already, and the rest when they are asked for. */
import type { DigestAlgorithm } from '../../bytes/index.ts';
import { closeFile, type FileDigester, FileStatus, fileDigester, openBeneath } from '../../sys/index.ts';

const key = (path: Uint8Array): string => Buffer.from(path).toString('latin1');

export class FileDigests {
  readonly algorithm: DigestAlgorithm;
  readonly #digester: FileDigester;
  readonly #byPath = new Map<string, Uint8Array>();
  readonly #byInode = new Map<string, Uint8Array>();
  readonly #status = new FileStatus();

  /** @throws {DigestAlgorithmError} @throws {SysError} */
  constructor(algorithm: DigestAlgorithm) {
    this.algorithm = algorithm;
    this.#digester = fileDigester(algorithm);
  }

  /** @param path relative to the tree's root */
  add(path: Uint8Array, digest: Uint8Array): void {
    this.#byPath.set(key(path), digest);
  }

  /**
   * The digest of a regular file. A further name of a file is read no second time.
   * @param path relative to the tree's root
   * @param folder descriptor of the folder that holds it @param name with the NUL that ends it
   * @throws {SysError} for a file that cannot be read
   */
  of(path: Uint8Array, folder: number, name: Uint8Array, status: FileStatus): Uint8Array {
    const known = this.#byPath.get(key(path)) ?? (status.links > 1 ? this.#byInode.get(status.inode) : undefined);
    const digest = known ?? this.#read(folder, name);
    if (status.links > 1) this.#byInode.set(status.inode, digest);
    return digest;
  }

  #read(folder: number, name: Uint8Array): Uint8Array {
    const fd = openBeneath(folder, name);
    try {
      return this.#digester.digest(fd, this.#status.ofOpen(fd).size).digest;
    } finally {
      closeFile(fd);
    }
  }
}
