/** Writes a tree into a PAX archive with its labels, as `tar --xattrs` would: content streams through, of any size. */
import { isUtf8 } from 'node:buffer';
import { readSync } from 'node:fs';
import { FileStatus, fgetXattr } from '../../../sys/index.ts';
import { withoutNul } from '../../paths.ts';
import { FileProblem } from '../../problem.ts';
import { CAPABILITY, inOrder, readLabels } from '../attributes.ts';
import type { EntryWriter, WriterPlace } from '../entry-writer.ts';
import { BLOCK, encodeHeader, MAX_ID, MAX_SIZE, NAME_SIZE, TYPE } from './header.ts';
import { encodePaxRecord, XATTR_PREFIX } from './pax.ts';

const PERMISSIONS = 0o7777;
const CHUNK = Buffer.allocUnsafeSlow(1 << 18);
const NO_LINK = Buffer.alloc(0);
const SECOND = 1_000_000_000n;

export class ArchiveWriter implements EntryWriter {
  readonly #place: WriterPlace;
  readonly #after = new FileStatus();
  /** Under which name each file of several links was written. */
  readonly #links = new Map<string, Buffer>();

  constructor(place: WriterPlace) {
    this.#place = place;
  }

  directory(path: Uint8Array, fd: number, status: FileStatus): void {
    const name = path.length === 0 ? Buffer.from('./') : Buffer.concat([path, Buffer.from('/')]);
    this.#begin(name, TYPE.directory, status, { attributes: this.#attributes(fd) });
    this.#place.summary.directories += 1;
  }

  symlink(path: Uint8Array, target: Uint8Array, status: FileStatus): void {
    this.#begin(Buffer.from(path), TYPE.symlink, status, { link: Buffer.from(target) });
    this.#place.summary.symlinks += 1;
  }

  file(path: Buffer, fd: number, status: FileStatus): void {
    const name = Buffer.from(withoutNul(path));
    const { summary } = this.#place;
    const first = status.links > 1 ? this.#links.get(status.inode) : undefined;
    if (first !== undefined) {
      this.#begin(name, TYPE.hardLink, status, { link: first });
      summary.files += 1;
      return;
    }
    const attributes = this.#attributes(fd);
    if (attributes.length === 0) summary.unlabelled += 1;
    const { size } = status;
    this.#begin(name, TYPE.file, status, { attributes, size });
    if (status.links > 1) this.#links.set(status.inode, name);
    const isWhole = this.#content(fd, size);
    summary.files += 1;
    summary.bytes += size;
    if (!isWhole || !this.#after.ofOpen(fd).hasContentOf(status)) throw new FileProblem('torn-entry');
  }

  #attributes(fd: number): Attribute[] {
    const { attributes, bound } = this.#place;
    const labels: Attribute[] = inOrder(readLabels(fd, attributes, bound));
    const capability = fgetXattr(fd, CAPABILITY);
    return capability === undefined ? labels : [...labels, [CAPABILITY, capability]];
  }

  #begin(name: Buffer, type: string, status: FileStatus, { link = NO_LINK, attributes = [], size = 0 }: Parts): void {
    const { uid, gid, modifiedNs } = status;
    const pax = paxRecords({ name, link, uid, gid, size, modifiedNs }, attributes);
    const rest = { mode: status.mode & PERMISSIONS, uid, gid, mtime: Number(modifiedNs / SECOND) };
    if (pax.length > 0) {
      const last = name.subarray(0, -1).lastIndexOf('/') + 1;
      const paxName = Buffer.concat([Buffer.from('PaxHeaders/'), name.subarray(last, last + 80)]);
      const header = { ...rest, name: paxName, type: TYPE.pax, linkName: NO_LINK, size: pax.length };
      this.#write(encodeHeader({ ...header, mode: 0o644, uid: 0, gid: 0 }));
      this.#write(pax);
      this.#pad(pax.length);
    }
    this.#write(encodeHeader({ ...rest, name, type, linkName: link, size }));
  }

  /** As many bytes as the header says, zeros where the file has become shorter. @returns whether it had them all */
  #content(fd: number, size: number): boolean {
    let left = size;
    while (left > 0) {
      const count = this.#read(fd, Math.min(left, CHUNK.length));
      if (count === 0) break;
      this.#write(CHUNK.subarray(0, count));
      left -= count;
    }
    const isWhole = left === 0;
    for (CHUNK.fill(0); left > 0; left -= Math.min(left, CHUNK.length)) this.#write(CHUNK.subarray(0, left));
    this.#pad(size);
    return isWhole;
  }

  /** Nothing more where it cannot be read: the entry is filled up, and the file is a problem. */
  #read(fd: number, count: number): number {
    try {
      return readSync(fd, CHUNK, 0, count, null);
    } catch (error) {
      if (error instanceof Error && 'code' in error) return 0;
      throw error;
    }
  }

  #pad(size: number): void {
    this.#write(Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK));
  }

  #write(bytes: Uint8Array): void {
    this.#place.output.write(bytes);
  }

  /** Two empty blocks end an archive. */
  end(): void {
    this.#write(Buffer.alloc(2 * BLOCK));
  }
}

type Attribute = [name: string, value: Uint8Array];

interface Parts {
  readonly link?: Buffer;
  readonly attributes?: readonly Attribute[];
  readonly size?: number;
}

interface Whole {
  readonly name: Buffer;
  readonly link: Buffer;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly modifiedNs: bigint;
}

/** What the ustar header cannot say. */
function paxRecords({ name, link, uid, gid, size, modifiedNs }: Whole, attributes: readonly Attribute[]): Buffer {
  const records: Buffer[] = [];
  const add = (keyword: string, value: Uint8Array | string): void => {
    records.push(encodePaxRecord(keyword, Buffer.from(value)));
  };
  const names = [
    ['path', name],
    ['linkpath', link],
  ] as const;
  // libarchive takes the names' bytes as they are then; GNU tar always does.
  if (names.some(([, value]) => !isUtf8(value))) add('hdrcharset', 'BINARY');
  for (const [keyword, value] of names) if (value.length > NAME_SIZE || !isAscii(value)) add(keyword, value);
  if (uid > MAX_ID) add('uid', String(uid));
  if (gid > MAX_ID) add('gid', String(gid));
  if (size > MAX_SIZE) add('size', String(size));
  if (modifiedNs < 0n || modifiedNs % SECOND !== 0n) add('mtime', timeText(modifiedNs));
  for (const [attribute, value] of attributes) add(`${XATTR_PREFIX}${attribute}`, value);
  return Buffer.concat(records);
}

const isAscii = (bytes: Buffer): boolean => bytes.every((byte) => byte < 0x80);

/** Seconds with a fraction. */
function timeText(ns: bigint): string {
  const magnitude = ns < 0n ? -ns : ns;
  const fraction = String(magnitude % SECOND).padStart(9, '0');
  return `${ns < 0n ? '-' : ''}${magnitude / SECOND}.${fraction}`;
}
