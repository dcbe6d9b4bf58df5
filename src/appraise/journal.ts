/**
 * The journal of a label run: for each file that bears its label, the state that the inode had right after. A file whose
 * state is the same (any change of content, owner or extended attribute changes its ctime) need not be read again, and a
 * run that was cut off goes on where it stopped. One record is 128 bytes: state (see FileStatus.writeState) 56, label
 * identity 4, the content's digest 64 (shorter ones padded with zeros: a directory's label needs it, and a signature does
 * not tell it), CRC-32 of these 4. Appended only; a torn or damaged tail is cut off, and the last record of an inode counts.
 * It is believed: whoever writes to it decides what is passed over and which digests are signed in directory labels, so it is
 * made for its owner alone and belongs outside of the tree.
 */
import { closeSync, constants, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { STATE_SIZE } from '../sys/index.ts';
import { AppraiseError } from './error.ts';

const MAGIC = Buffer.from('assay label journal 2\n'.padEnd(64, '\n'));
/** Its records had no digest: such a journal is begun anew. */
const FIRST_MAGIC = Buffer.from('assay label journal 1\n'.padEnd(64, '\n'));
export const RECORD_SIZE = 128;
const LABEL_AT = STATE_SIZE;
const DIGEST_AT = STATE_SIZE + 4;
const CRC_AT = RECORD_SIZE - 4;
/** Half a million records more than any tree of a million files needs after one rewrite. */
const MAX_SIZE = 2 ** 31;

/** What threads look states up in: the records, and an open-addressed table of record numbers + 1. */
export interface JournalIndex {
  readonly records: Uint8Array;
  readonly table: Int32Array;
}

/**
 * Writes one record at `at`, from a state that is there already.
 * @param digest of the content, at most 64 bytes
 */
export function sealRecord(bytes: Buffer, at: number, labelIdentity: number, digest: Uint8Array): void {
  bytes.writeUInt32LE(labelIdentity, at + LABEL_AT);
  bytes.fill(0, at + DIGEST_AT, at + CRC_AT).set(digest, at + DIGEST_AT);
  bytes.writeUInt32LE(crc32(bytes.subarray(at, at + CRC_AT)), at + CRC_AT);
}

function slotOf(state: Uint8Array, at: number, mask: number): number {
  const view = new DataView(state.buffer, state.byteOffset + at, 8);
  return (Math.imul(view.getUint32(0, true) ^ (view.getUint32(4, true) << 7), 0x9e3779b1) >>> 7) & mask;
}

/** The same inode: number and device. */
function isSameInode(a: Buffer, at: number, b: Buffer, bAt: number): boolean {
  return a.compare(b, bAt, bAt + 8, at, at + 8) === 0 && a.compare(b, bAt + 48, bAt + 56, at + 48, at + 56) === 0;
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The index of whole, checked records; in memory that threads share. */
function indexOf(records: Buffer): JournalIndex {
  const shared = Buffer.from(new SharedArrayBuffer(records.length));
  records.copy(shared);
  const count = records.length / RECORD_SIZE;
  const slots = 2 ** Math.ceil(Math.log2(Math.max(count * 2, 16)));
  const table = new Int32Array(new SharedArrayBuffer(slots * 4));
  for (let record = 0; record < count; record++) {
    const at = record * RECORD_SIZE;
    let slot = slotOf(shared, at, slots - 1);
    for (;;) {
      const held = table[slot] ?? 0;
      if (held === 0 || isSameInode(shared, (held - 1) * RECORD_SIZE, shared, at)) break;
      slot = (slot + 1) & (slots - 1);
    }
    table[slot] = record + 1;
  }
  return { records: shared, table };
}

/**
 * The content's digest, where the journal says that the file in this state bears the label of this identity.
 * @returns 64 bytes, a view; the digest's algorithm is part of the identity
 */
export function inJournal(index: JournalIndex, state: Buffer, labelIdentity: number): Buffer | undefined {
  const { table } = index;
  const records = bufferOf(index.records);
  const mask = table.length - 1;
  for (let slot = slotOf(state, 0, mask); ; slot = (slot + 1) & mask) {
    const held = table[slot] ?? 0;
    if (held === 0) return undefined;
    const at = (held - 1) * RECORD_SIZE;
    if (!isSameInode(records, at, state, 0)) continue;
    const holds =
      records.readUInt32LE(at + LABEL_AT) === labelIdentity &&
      records.compare(state, 0, STATE_SIZE, at, at + STATE_SIZE) === 0;
    return holds ? records.subarray(at + DIGEST_AT, at + CRC_AT) : undefined;
  }
}

/** A FIFO or a terminal in its place is not waited for. */
const OPEN_FLAGS =
  constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;

/** The journal's file. Not locked: a second run on the same one costs hashing, no wrong label. */
export class Journal {
  readonly index: JournalIndex;
  readonly #fd: number;
  #length: number;

  /** Opens or creates it. @throws {AppraiseError} `appraise.not-a-journal`, `appraise.journal-of-another` */
  constructor(path: string) {
    this.#fd = openSync(path, OPEN_FLAGS, 0o600);
    try {
      requireRegular(this.#fd, path);
      requireOwn(this.#fd, path);
      const bytes = readWhole(this.#fd, path);
      const records = wholeRecords(bytes);
      const live = lastOfEach(records);
      this.index = indexOf(live);
      this.#length = this.#settle(bytes, records, live);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** Cuts a torn tail off, and rewrites a journal that is mostly of the past. */
  #settle(bytes: Buffer, records: Buffer, live: Buffer): number {
    const isStale = records.length > 2 * live.length;
    const kept = isStale ? live : records;
    if (bytes.length === 0 || isStale) {
      // Not replaced by renaming: others may watch the file. A crash here costs hashing again.
      ftruncateSync(this.#fd, 0);
      writeSync(this.#fd, Buffer.concat([MAGIC, kept]));
    } else if (bytes.length !== MAGIC.length + kept.length) {
      ftruncateSync(this.#fd, MAGIC.length + kept.length);
    }
    return MAGIC.length + kept.length;
  }

  /** @param records sealed, whole */
  append(records: Uint8Array): void {
    if (records.length === 0) return;
    writeSync(this.#fd, records);
    this.#length += records.length;
  }

  get size(): number {
    return this.#length;
  }

  close(): void {
    fsyncSync(this.#fd);
    closeSync(this.#fd);
  }
}

function requireRegular(fd: number, path: string): void {
  if (fstatSync(fd).isFile()) return;
  throw notAJournal(path, 'is no regular file, and a journal is one');
}

/** It is believed, and a folder like /tmp lets others put a file in its place. */
function requireOwn(fd: number, path: string): void {
  const { uid, mode } = fstatSync(fd);
  const isOthers = uid !== process.geteuid?.();
  if (!isOthers && (mode & 0o022) === 0) return;
  const why = isOthers ? `belongs to user ${uid}` : 'can be written by others than its owner';
  throw new AppraiseError('appraise.journal-of-another', `${path} ${why}, and a journal is believed`, {
    advice: 'keep it in a folder of your own, with mode 0600',
  });
}

function readWhole(fd: number, path: string): Buffer {
  const { size } = fstatSync(fd);
  if (size > MAX_SIZE) throw notAJournal(path);
  const bytes = Buffer.allocUnsafeSlow(size);
  for (let at = 0; at < size; ) {
    const count = readSync(fd, bytes, at, size - at, at);
    if (count === 0) break;
    at += count;
  }
  const begin = bytes.subarray(0, MAGIC.length);
  if (begin.equals(FIRST_MAGIC)) return Buffer.alloc(0);
  // A run that was cut off while it wrote the first line leaves a part of it.
  if (!begin.equals(MAGIC.subarray(0, begin.length))) throw notAJournal(path);
  return begin.length < MAGIC.length ? Buffer.alloc(0) : bytes;
}

function notAJournal(path: string, why = 'is no journal of label runs'): AppraiseError {
  return new AppraiseError('appraise.not-a-journal', `${path} ${why}`, {
    advice: 'name a file that does not exist yet, or one that an earlier run made',
  });
}

/** Records up to the first that is torn or damaged. */
function wholeRecords(bytes: Buffer): Buffer {
  const records = bytes.subarray(Math.min(MAGIC.length, bytes.length));
  let at = 0;
  while (at + RECORD_SIZE <= records.length) {
    if (crc32(records.subarray(at, at + CRC_AT)) !== records.readUInt32LE(at + CRC_AT)) break;
    at += RECORD_SIZE;
  }
  return records.subarray(0, at);
}

/** Each inode's last record. */
function lastOfEach(records: Buffer): Buffer {
  const { table } = indexOf(records);
  const numbers = table.filter((held) => held !== 0).sort();
  if (numbers.length * RECORD_SIZE === records.length) return records;
  return Buffer.concat([...numbers].map((n) => records.subarray((n - 1) * RECORD_SIZE, n * RECORD_SIZE)));
}
