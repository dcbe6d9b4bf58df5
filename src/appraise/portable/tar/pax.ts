/**
 * Records of a PAX extended header (POSIX.1-2001, pax, "pax Extended Header"): `LENGTH KEYWORD=VALUE\n`. Values are bytes:
 * labels are binary, and the archive libraries that decode values as text lose them.
 */
import { ParseError } from '../../../bytes/index.ts';

/** As star began, and GNU tar and libarchive followed. */
export const XATTR_PREFIX = 'SCHILY.xattr.';

const SPACE = 0x20;
const EQUALS = 0x3d;
const NEWLINE = 0x0a;

export type PaxRecords = ReadonlyMap<string, Buffer>;

/** The length counts itself. */
export function encodePaxRecord(keyword: string, value: Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${keyword}=`), value, Buffer.of(NEWLINE)]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/**
 * A later record of a keyword replaces an earlier one.
 * @param base offset of the bytes within the archive
 * @throws {ParseError}
 */
export function parsePaxRecords(bytes: Buffer, base: number): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length; ) {
    const wrong = (detail: string): ParseError => new ParseError('parse.invalid', 'PAX record', base + at, detail);
    const space = bytes.subarray(at, at + 10).indexOf(SPACE);
    const digits = bytes.toString('latin1', at, at + Math.max(space, 0));
    if (!/^[1-9]\d*$/.test(digits)) throw wrong('has no length');
    const end = at + Number(digits);
    if (end > bytes.length) throw wrong('is longer than its header');
    const equals = bytes.indexOf(EQUALS, at + space + 1);
    if (equals < 0 || equals >= end - 1) throw wrong('has no value');
    if (bytes[end - 1] !== NEWLINE) throw wrong('does not end in a newline');
    records.set(bytes.toString('utf8', at + space + 1, equals), bytes.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}
