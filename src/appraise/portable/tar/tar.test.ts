import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ParseError } from '../../../bytes/index.ts';
import { Input } from '../input.ts';
import { type ArchiveEntry, ArchiveReader } from './archive-reader.ts';
import { encodeHeader, parseHeader, TYPE } from './header.ts';
import { encodePaxRecord, parsePaxRecords } from './pax.ts';

const HEADER = {
  name: Buffer.from('file'),
  type: TYPE.file,
  linkName: Buffer.alloc(0),
  mode: 0o644,
  uid: 1000,
  gid: 100,
  size: 7,
  mtime: 1_700_000_000,
};

const padded = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
const END = Buffer.alloc(1024);
const pax = (...records: Buffer[]): Buffer => {
  const bytes = Buffer.concat(records);
  return Buffer.concat([encodeHeader({ ...HEADER, type: TYPE.pax, size: bytes.length }), padded(bytes)]);
};
const file = (content: Buffer, header: Partial<typeof HEADER> = {}): Buffer =>
  Buffer.concat([encodeHeader({ ...HEADER, size: content.length, ...header }), padded(content)]);

function readAll(...parts: readonly Uint8Array[]): { entry: ArchiveEntry; content: Buffer }[] {
  const folder = mkdtempSync(join(tmpdir(), 'assay-tar-'));
  const path = join(folder, 'archive');
  writeFileSync(path, Buffer.concat(parts));
  const fd = openSync(path, 'r');
  try {
    const reader = new ArchiveReader(new Input(fd));
    const found: { entry: ArchiveEntry; content: Buffer }[] = [];
    for (let entry = reader.next(); entry !== undefined; entry = reader.next()) {
      const content: Buffer[] = [];
      for (let part = reader.read(); part !== undefined; part = reader.read()) content.push(Buffer.from(part));
      found.push({ entry, content: Buffer.concat(content) });
    }
    return found;
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
}

const throwsParse = (code: string, ...parts: readonly Uint8Array[]): void => {
  assert.throws(
    () => readAll(...parts),
    (error) => error instanceof ParseError && error.code === code,
  );
};

test('a PAX record counts its own length', () => {
  // Both sides of a new digit.
  assert.equal(encodePaxRecord('path', Buffer.from('x')).toString(), '9 path=x\n');
  assert.equal(encodePaxRecord('path', Buffer.from('')).toString(), '8 path=\n');
  assert.equal(encodePaxRecord('path', Buffer.alloc(90, 'x')).length, 99);
  assert.match(encodePaxRecord('path', Buffer.alloc(91, 'x')).toString(), /^101 path=x{91}\n$/);
});

test('PAX values are bytes: newlines, NULs and what is not UTF-8 come back', () => {
  const value = fc.uint8Array({ maxLength: 200 }).map(Buffer.from);
  fc.assert(
    fc.property(value, value, (a, b) => {
      const bytes = Buffer.concat([encodePaxRecord('SCHILY.xattr.security.ima', a), encodePaxRecord('path', b)]);
      const expected = new Map([
        ['SCHILY.xattr.security.ima', a],
        ['path', b],
      ]);
      assert.deepEqual(parsePaxRecords(bytes, 0), expected);
    }),
    { numRuns: 200 },
  );
});

test('damaged PAX records', () => {
  for (const text of ['x', '0 a=b\n', '6 a=b', '99 a=b\n', '6 aab\n', '7 a=bcd', '3 a\n', ' 6 a=b\n', '-6 a=b\n']) {
    assert.throws(
      () => parsePaxRecords(Buffer.from(text), 512),
      (error) => error instanceof ParseError && error.offset >= 512,
      text,
    );
  }
});

test('a header gives itself back; its checksum and magic are held', () => {
  const block = encodeHeader(HEADER);
  assert.deepEqual(parseHeader(block, 0), HEADER);
  const damaged = Buffer.from(block);
  damaged[0] = 0x66 + 1;
  assert.throws(() => parseHeader(damaged, 0), /checksum/);
  assert.throws(() => parseHeader(Buffer.alloc(512, 0x20), 0), ParseError);
});

test('GNU’s base 256 sizes, and numbers out of range', () => {
  const block = encodeHeader({ ...HEADER, size: 0 });
  const withSize = (size: Buffer): Buffer => {
    const own = Buffer.from(block);
    own.set(size, 124);
    own.write('        ', 148, 'latin1');
    const sum = own.reduce((total, byte) => total + byte, 0);
    own.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return own;
  };
  const nineGib = Buffer.from('800000000000000240000000', 'hex');
  assert.equal(parseHeader(withSize(nineGib), 0).size, 9 * 2 ** 30);
  assert.throws(() => parseHeader(withSize(Buffer.alloc(12, 0xff)), 0), /size: is out of range/);
  assert.throws(() => parseHeader(withSize(Buffer.from('00000000008\0')), 0), /size: is not octal/);
});

test('names, sizes, owners, times and attributes of a PAX header stand for the next entry alone', () => {
  const path = Buffer.from(`${'long/'.repeat(60)}name`);
  const label = Buffer.of(4, 4, 0, 0x0a, 0xff, 0x3d);
  const [first, second] = readAll(
    pax(
      encodePaxRecord('path', path),
      encodePaxRecord('size', Buffer.from('3')),
      encodePaxRecord('uid', Buffer.from('4000000000')),
      encodePaxRecord('mtime', Buffer.from('-1.5')),
      encodePaxRecord('SCHILY.xattr.security.ima', label),
    ),
    file(Buffer.from('abc'), { size: 0 }),
    file(Buffer.from('second')),
    END,
  );
  assert.deepEqual(first?.entry.path, path);
  assert.equal(first?.content.toString(), 'abc');
  assert.equal(first?.entry.uid, 4_000_000_000);
  assert.equal(first?.entry.mtime, -1.5);
  assert.deepEqual(first?.entry.xattrs, new Map([['security.ima', label]]));
  assert.equal(second?.entry.path.toString(), 'file');
  assert.equal(second?.entry.xattrs.size, 0);
});

test('GNU’s long names and links', () => {
  const long = Buffer.from(`${'n'.repeat(150)}\0`);
  const [only] = readAll(
    file(long, { type: TYPE.gnuLongName as '0' }),
    file(long, { type: TYPE.gnuLongLink as '0' }),
    encodeHeader({ ...HEADER, type: TYPE.symlink, size: 0 }),
    END,
  );
  assert.equal(only?.entry.path.toString(), 'n'.repeat(150));
  assert.equal(only?.entry.link.toString(), 'n'.repeat(150));
});

test('what is cut short or too large is refused', () => {
  const whole = Buffer.concat([file(Buffer.alloc(700, 1)), END]);
  for (const length of [0, 100, 512, 800, 1400, 1536]) throwsParse('parse.truncated', whole.subarray(0, length));
  throwsParse('parse.truncated', pax(encodePaxRecord('path', Buffer.from('x'))), END);
  throwsParse('parse.too-large', encodeHeader({ ...HEADER, type: TYPE.pax, size: 2 ** 32 }));
  throwsParse('parse.too-large', encodeHeader({ ...HEADER, type: TYPE.gnuLongName, size: 2 ** 32 }));
  throwsParse('parse.invalid', pax(encodePaxRecord('size', Buffer.from('9'.repeat(19)))), file(Buffer.alloc(0)), END);
  throwsParse('parse.invalid', pax(encodePaxRecord('mtime', Buffer.from('soon'))), file(Buffer.alloc(0)), END);
});

test('any damage gives entries or a ParseError', () => {
  const good = Buffer.concat([
    pax(encodePaxRecord('path', Buffer.alloc(120, 'x')), encodePaxRecord('SCHILY.xattr.user.ima', Buffer.of(1, 2))),
    file(Buffer.from('content')),
    END,
  ]);
  const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(good.length), (changes, length) => {
      const bytes = Buffer.from(good);
      for (const [at, value] of changes) bytes[at] = value;
      try {
        readAll(length % 3 === 0 ? bytes.subarray(0, length) : bytes);
      } catch (error) {
        assert.ok(error instanceof ParseError, String(error));
      }
    }),
    { numRuns: 150 },
  );
});
