/**
 * The marks of a directory of any size in fixed room: an invertible Bloom look-up table (Eppstein, Goodrich, Uyeda,
 * Varghese: "What's the Difference?", SIGCOMM 2011). Two tables subtracted give the entries that only one side has, as
 * long as these are few; what both have cancels out.
 */
import { createHash, hash } from 'node:crypto';
import type { ByteReader } from '../../bytes/index.ts';
import { ENTRY_TYPES, entryTypeCode } from './entry.ts';
import { type EntryMark, TAG_SIZE } from './mark.ts';

/** Each mark stands in one cell of each part. 36 cells hold some 20 differences. */
const PARTS = 3;
const CELLS_A_PART = 12;
const CELLS = PARTS * CELLS_A_PART;

/** So much of a name is kept; four bytes of its hash tell longer ones apart. */
const NAME_ROOM = 43;
const NAME_HASH = 4;
const KEY_SIZE = 1 + NAME_ROOM + NAME_HASH + 1 + TAG_SIZE;
const CHECK_SIZE = 4;
/** count u16 (modulo 2^16) ‖ XOR of the keys ‖ XOR of their checks */
const CELL_SIZE = 2 + KEY_SIZE + CHECK_SIZE;

export const SKETCH_SIZE = CELLS * CELL_SIZE;

export type MarkSketch = Uint8Array & { readonly __brand: 'MarkSketch' };

function asSketch(bytes: Uint8Array): MarkSketch {
  return bytes as MarkSketch; // the one place that brands
}

export function sketchOf(marks: Iterable<EntryMark>): MarkSketch {
  const sketch = asSketch(new Uint8Array(SKETCH_SIZE));
  for (const mark of marks) toggle(sketch, keyOf(mark), 1);
  return sketch;
}

/** @throws {ParseError} where it is not of the one size */
export function parseMarkSketch(reader: ByteReader): MarkSketch {
  const sketch = asSketch(Uint8Array.from(reader.bytes(SKETCH_SIZE, 'sketch of the entries')));
  reader.end('sketch of the entries');
  return sketch;
}

export interface MarkDifference {
  readonly onlyBefore: readonly EntryMark[];
  readonly onlyNow: readonly EntryMark[];
}

/**
 * What only one of both sides has; undefined where the differences are too many for the table, or where it was not made
 * by {@link sketchOf}. Names that are there now are given whole.
 */
export function sketchDifference(before: MarkSketch, now: readonly EntryMark[]): MarkDifference | undefined {
  const table = asSketch(before.slice());
  const known = new Map(now.map((mark) => [keyOf(mark).toString('latin1'), mark]));
  for (const mark of now) toggle(table, keyOf(mark), -1);
  const onlyBefore: EntryMark[] = [];
  const onlyNow: EntryMark[] = [];
  // Each round takes one mark out; a table that was tampered with could go round for ever.
  for (let round = 0; round <= CELLS; round++) {
    const pure = findPure(table);
    if (pure === undefined) return table.every((byte) => byte === 0) ? { onlyBefore, onlyNow } : undefined;
    const mark = markOfKey(pure.key);
    if (mark === undefined) return undefined;
    toggle(table, pure.key, pure.count === 1 ? -1 : 1);
    if (pure.count === 1) onlyBefore.push(mark);
    else onlyNow.push(known.get(pure.key.toString('latin1')) ?? mark);
  }
  return undefined;
}

function findPure(table: MarkSketch): { readonly key: Buffer; readonly count: 1 | -1 } | undefined {
  const view = Buffer.from(table.buffer, table.byteOffset, table.length);
  for (let at = 0; at < SKETCH_SIZE; at += CELL_SIZE) {
    const count = view.readInt16BE(at);
    if (count !== 1 && count !== -1) continue;
    const key = Buffer.from(view.subarray(at + 2, at + 2 + KEY_SIZE));
    if (checkOf(key).equals(view.subarray(at + 2 + KEY_SIZE, at + CELL_SIZE))) return { key, count };
  }
  return undefined;
}

function toggle(table: MarkSketch, key: Buffer, by: 1 | -1): void {
  const check = checkOf(key);
  const view = Buffer.from(table.buffer, table.byteOffset, table.length);
  for (const cell of cellsOf(key)) {
    const at = cell * CELL_SIZE;
    view.writeUInt16BE((view.readUInt16BE(at) + by) & 0xffff, at);
    exclusiveOr(view, at + 2, key);
    exclusiveOr(view, at + 2 + KEY_SIZE, check);
  }
}

function exclusiveOr(into: Buffer, at: number, bytes: Uint8Array): void {
  for (const [i, byte] of bytes.entries()) into[at + i] = (into[at + i] ?? 0) ^ byte;
}

function cellsOf(key: Buffer): number[] {
  const places = createHash('sha256').update('cells\0').update(key).digest();
  return Array.from(
    { length: PARTS },
    (_, part) => part * CELLS_A_PART + (places.readUInt32BE(4 * part) % CELLS_A_PART),
  );
}

function checkOf(key: Buffer): Buffer {
  return createHash('sha256').update('check\0').update(key).digest().subarray(0, CHECK_SIZE);
}

function keyOf({ name, type, tag }: EntryMark): Buffer {
  const key = Buffer.alloc(KEY_SIZE);
  key[0] = name.length;
  key.set(name.subarray(0, NAME_ROOM), 1);
  key.set(hash('sha256', name, 'buffer').subarray(0, NAME_HASH), 1 + NAME_ROOM);
  key[1 + NAME_ROOM + NAME_HASH] = entryTypeCode(type);
  key.set(Buffer.from(tag, 'hex'), 2 + NAME_ROOM + NAME_HASH);
  return key;
}

function markOfKey(key: Buffer): EntryMark | undefined {
  const [length = 0] = key;
  const type = ENTRY_TYPES[key[1 + NAME_ROOM + NAME_HASH] ?? 0];
  if (length === 0 || type === undefined) return undefined;
  const name = key.subarray(1, 1 + Math.min(length, NAME_ROOM));
  return { name, isWhole: length <= NAME_ROOM, type, tag: key.subarray(2 + NAME_ROOM + NAME_HASH).toString('hex') };
}
