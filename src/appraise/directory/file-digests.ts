/** Digests of a tree's files: those that a run over the tree has computed already, and the rest when they are asked for. */
import { type DigestAlgorithm, digestInfo } from '../../bytes/index.ts';
import { closeFile, type FileDigester, FileStatus, fgetXattr, fileDigester, openBeneath } from '../../sys/index.ts';

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
   * @param path relative to the root, without a NUL
   * @param trusts an attribute whose digest label may stand for reading: only where it was written or checked just now
   * @throws {SysError} for a file that cannot be read
   */
  of(root: number, path: Uint8Array, status: FileStatus, trusts?: string): Uint8Array {
    const known = this.#byPath.get(key(path)) ?? (status.links > 1 ? this.#byInode.get(status.inode) : undefined);
    const digest = known ?? this.#read(root, path, trusts);
    if (status.links > 1) this.#byInode.set(status.inode, digest);
    return digest;
  }

  #read(root: number, path: Uint8Array, trusts: string | undefined): Uint8Array {
    const fd = openBeneath(root, Buffer.concat([path, Buffer.alloc(1)]));
    try {
      const label = trusts === undefined ? undefined : this.#labelOf(fd, trusts);
      return label ?? this.#digester.digest(fd, this.#status.ofOpen(fd).size).digest;
    } finally {
      closeFile(fd);
    }
  }

  /** `04 ‖ algorithm ‖ digest` of this algorithm. */
  #labelOf(fd: number, attribute: string): Uint8Array | undefined {
    const { kernelId, size } = digestInfo(this.algorithm);
    const label = fgetXattr(fd, attribute);
    return label?.length === 2 + size && label[0] === 4 && label[1] === kernelId ? label.subarray(2) : undefined;
  }
}
