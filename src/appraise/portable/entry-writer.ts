/** What an export of either format is made with. */
import type { FileStatus } from '../../sys/index.ts';
import type { TreeRoot } from '../tree-run.ts';
import type { LabelAttribute } from './attributes.ts';
import type { Output } from './output.ts';

export interface ExportSummary {
  /** Files and folders that were written down. */
  files: number;
  directories: number;
  /** Content that was read. */
  bytes: number;
  /** Of a manifest: files without a label, which are not in it. Of an archive they are. */
  unlabelled: number;
  symlinks: number;
  /** FIFOs, sockets and devices: never taken. */
  special: number;
  problems: number;
  /** False where the run was stopped; no output is left then. */
  finished: boolean;
}

/** What writes one format. Descriptors are the caller's to close. */
export interface EntryWriter {
  file(path: Buffer, fd: number, status: FileStatus): void;
  directory(path: Uint8Array, fd: number, status: FileStatus): void;
  symlink(path: Uint8Array, target: Uint8Array, status: FileStatus): void;
  end(): void;
}

/** What the writers of both formats are made with. */
export interface WriterPlace {
  readonly root: TreeRoot;
  readonly attributes: readonly LabelAttribute[];
  readonly bound: boolean;
  readonly output: Output;
  readonly summary: ExportSummary;
}
