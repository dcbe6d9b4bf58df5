/** Writes a manifest: a line for each file and folder that bears a label. */
import type { DigestAlgorithm } from '../../bytes/index.ts';
import { type FileDigester, FileStatus, fgetXattr, fileDigester } from '../../sys/index.ts';
import { withoutNul } from '../paths.ts';
import { StableReader } from '../stable-reader.ts';
import { CAPABILITY, type Labels, readLabels } from './attributes.ts';
import type { EntryWriter, WriterPlace } from './entry-writer.ts';
import { encodeEnd, encodeHeader, encodeRecord, type LabelRecord } from './record.ts';

const PERMISSIONS = 0o7777;

export class ManifestWriter implements EntryWriter {
  readonly #place: WriterPlace;
  readonly #digester: FileDigester;
  readonly #after = new FileStatus();
  #records = 0;

  /** @throws {DigestAlgorithmError} */
  constructor(place: WriterPlace, algorithm: DigestAlgorithm) {
    this.#place = place;
    this.#digester = fileDigester(algorithm);
    this.#write(encodeHeader({ hash: algorithm, root: place.root.path }));
  }

  #write(text: string): void {
    this.#place.output.write(Buffer.from(text));
  }

  file(path: Buffer, fd: number, status: FileStatus): void {
    const { root, attributes, bound, summary } = this.#place;
    const labels = readLabels(fd, attributes, bound);
    if (labels.size === 0) {
      summary.unlabelled += 1;
      return;
    }
    // openat2 has already kept to one file system where that was asked.
    const reader = new StableReader({ root: root.fd, oneFileSystem: false }, status, this.#after);
    const digest = reader.digest(fd, path, this.#digester);
    this.#record(withoutNul(path), fd, status, labels, { size: status.size, digest });
    summary.files += 1;
    summary.bytes += status.size;
  }

  directory(path: Uint8Array, fd: number, status: FileStatus): void {
    const { attributes, bound, summary } = this.#place;
    const labels = readLabels(fd, attributes, bound);
    if (labels.size === 0) return;
    this.#record(path, fd, status, labels, undefined);
    summary.directories += 1;
  }

  #record(path: Uint8Array, fd: number, status: FileStatus, labels: Labels, content: LabelRecord['content']): void {
    const { mode, uid, gid } = status;
    const capability = fgetXattr(fd, CAPABILITY);
    const covered = capability === undefined ? {} : { capability };
    this.#write(encodeRecord({ path, mode: mode & PERMISSIONS, uid, gid, labels, content, ...covered }));
    this.#records += 1;
  }

  /** Links bear no labels of the kernel's integrity subsystem. */
  symlink(): void {}

  end(): void {
    this.#write(encodeEnd(this.#records));
  }
}
