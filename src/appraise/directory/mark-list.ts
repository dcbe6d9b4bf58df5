/** The marks of a small directory, each with its whole name; names share prefixes, so only what is new of each is written. */
import { type ByteReader, ByteWriter } from '../../bytes/index.ts';
import { ENTRY_TYPES, entryTypeCode } from './entry.ts';
import { type EntryMark, TAG_SIZE } from './mark.ts';

/** shared u8 ‖ length of the rest u8 ‖ rest ‖ type u8 ‖ tag, for each. @param marks sorted by name */
export function encodeMarkList(marks: readonly EntryMark[]): Uint8Array {
  const writer = new ByteWriter(32 * marks.length);
  let before: Uint8Array = new Uint8Array();
  for (const { name, type, tag } of marks) {
    const shared = sharedLength(before, name);
    const rest = name.subarray(shared);
    writer.u8(shared).u8(rest.length).bytes(rest).u8(entryTypeCode(type)).bytes(Buffer.from(tag, 'hex'));
    before = name;
  }
  return writer.finish();
}

function sharedLength(a: Uint8Array, b: Uint8Array): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}

/** @throws {ParseError} */
export function parseMarkList(reader: ByteReader): EntryMark[] {
  const marks: EntryMark[] = [];
  let name = Buffer.alloc(0);
  while (reader.remaining > 0) {
    const start = reader.offset;
    const shared = reader.u8('entry name, shared part');
    if (shared > name.length) reader.fail('parse.invalid', 'entry name', 'shares more than there is', start);
    const rest = reader.bytes(reader.u8('entry name, length'), 'entry name');
    const next = Buffer.concat([name.subarray(0, shared), rest]);
    if (next.length === 0 || next.length > 255)
      reader.fail('parse.invalid', 'entry name', 'is empty or too long', start);
    if (Buffer.compare(name, next) >= 0) reader.fail('parse.invalid', 'entry name', 'is not in order', start);
    const type = ENTRY_TYPES[reader.u8('entry type')];
    if (type === undefined) reader.fail('parse.unknown-value', 'entry type', 'is not known', reader.offset - 1);
    const tag = Buffer.from(reader.bytes(TAG_SIZE, 'entry tag')).toString('hex');
    marks.push({ name: next, isWhole: true, type, tag });
    name = next;
  }
  return marks;
}
