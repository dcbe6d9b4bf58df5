/** What rules of a policy are held against, read off a file of this machine. */
import { closeSync, constants, openSync, readSync, type Stats, statSync } from 'node:fs';
import { encodePath } from '../ima/index.ts';
import { FILE_SYSTEMS, type FileFacts, fileKind, formatUuid } from '../ima/policy/index.ts';
import { type FileSystem, fileSystem } from '../sys/index.ts';

/** The program headers of an ELF file are among them. */
const START_SIZE = 4096;
const MADE_UP: ReadonlySet<number> = new Set(
  FILE_SYSTEMS.filter(({ kind }) => kind === 'pseudo').map(({ magic }) => magic),
);

/** Asks for a file system once: that takes several reads. */
export class LiveFiles {
  readonly #systems = new Map<number, FileSystem>();

  /**
   * @param path links are followed, as the kernel's hooks do
   * @returns undefined for what is no regular file: IMA looks at no other
   * @throws the error of node:fs
   */
  facts(path: string): FileFacts | undefined {
    const bytes = encodePath(path);
    const status = statSync(bytes);
    if (!status.isFile()) return undefined;
    const { magic, type, uuid } = this.#systemOf(bytes, status);
    const [name, ...subtype] = type?.split('.') ?? [];
    return {
      owner: status.uid,
      group: status.gid,
      fsMagic: magic,
      ...(name === undefined ? {} : { fsName: name, fsSubtype: subtype.join('.') }),
      ...(uuid === undefined ? {} : { fsUuid: formatUuid(uuid) }),
      // Reading what the kernel makes up may take something away (/proc/kmsg), and says nothing.
      kind: MADE_UP.has(magic) ? 'other' : fileKind(path, status.mode, startOf(bytes)),
    };
  }

  #systemOf(path: Buffer, { dev }: Stats): FileSystem {
    const known = this.#systems.get(dev);
    if (known !== undefined) return known;
    const found = fileSystem(path);
    this.#systems.set(dev, found);
    return found;
  }
}

function startOf(path: Buffer): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const start = Buffer.alloc(START_SIZE);
    return start.subarray(0, readSync(fd, start, 0, START_SIZE, 0));
  } finally {
    closeSync(fd);
  }
}
