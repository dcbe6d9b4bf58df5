import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ParseError } from '../../bytes/index.ts';
import type { LabelAttribute } from './attributes.ts';
import { encodeEnd, encodeHeader, encodeRecord, type LabelRecord, parseHeader, parseLine } from './record.ts';

const lineOf = (text: string) => ({ text: text.trimEnd(), number: 2, offset: 100 });

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((value) => Buffer.from(value));
const content = fc.record(
  { size: fc.nat(), digest: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(Buffer.from) },
  { noNullPrototype: true },
);
const labels = fc
  .uniqueArray(fc.tuple(fc.constantFrom<LabelAttribute>('security.ima', 'security.evm', 'user.ima'), bytes(80)), {
    minLength: 1,
    selector: ([name]) => name,
  })
  .map((entries) => new Map(entries));

test('a record gives itself back, whatever bytes its path is', () => {
  const record = fc.record(
    {
      path: fc.uint8Array({ minLength: 2, maxLength: 40 }).map(Buffer.from),
      mode: fc.integer({ min: 0, max: 0o7777 }),
      uid: fc.nat(),
      gid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
      labels,
      content: fc.option(content, { nil: undefined }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(record, (given) => assert.deepEqual(parseLine(lineOf(encodeRecord(given)), 'sha256'), given)),
    { numRuns: 200 },
  );
});

const RECORD: LabelRecord = {
  path: Buffer.from('bin/true'),
  mode: 0o4755,
  uid: 0,
  gid: 12,
  labels: new Map([['security.ima', Buffer.of(4, 4, 1)]]),
  capability: Buffer.of(1),
  content: { size: 5, digest: Buffer.alloc(32, 0xab) },
};

test('the form of a record', () => {
  assert.equal(
    encodeRecord(RECORD),
    `{"path":"bin/true","type":"file","mode":"4755","uid":0,"gid":12,"size":5,"digest":"${'ab'.repeat(32)}",` +
      '"labels":{"security.ima":"BAQB"},"capability":"AQ=="}\n',
  );
});

test('the tree’s root is a dot', () => {
  const root = { ...RECORD, path: Buffer.alloc(0), content: undefined };
  assert.match(encodeRecord(root), /^{"path":"\.","type":"directory"/);
  assert.deepEqual(parseLine(lineOf(encodeRecord(root)), 'sha256'), root);
});

test('what is wrong with a line is said with its field and place', () => {
  const good = JSON.parse(encodeRecord(RECORD));
  const cases: [object, RegExp][] = [
    [{ path: 7 }, /"path": is no string/],
    [{ type: 'link' }, /"type": is neither/],
    [{ mode: '755' }, /"mode": is no octal/],
    [{ uid: -1 }, /"uid": is no whole number/],
    [{ gid: 2 ** 32 - 1 }, /"gid": is no whole number/],
    [{ size: 0.5 }, /"size": is no whole number/],
    [{ digest: 'abc' }, /"digest": is not hexadecimal/],
    [{ digest: 'ab' }, /"digest": is no sha256 digest/],
    [{ labels: {} }, /"labels": is empty/],
    [{ labels: [] }, /"labels": is no object/],
    [{ labels: { 'security.selinux': 'AQ==' } }, /"labels": holds an attribute that is no label/],
    [{ labels: { 'security.ima': 'A!==' } }, /"labels": is not base64/],
    [{ labels: { 'security.ima': Buffer.alloc(65537).toString('base64') } }, /"labels": is longer than 65536/],
    [{ capability: 'x' }, /"capability": is not base64/],
  ];
  for (const [change, expected] of cases) {
    const text = JSON.stringify({ ...good, ...change });
    assert.throws(
      () => parseLine(lineOf(text), 'sha256'),
      (error) => error instanceof ParseError && error.offset === 100 && expected.test(error.message),
      String(expected),
    );
  }
  for (const text of ['', '{', '[]', 'null', '7']) assert.throws(() => parseLine(lineOf(text), 'sha256'), ParseError);
});

test('header and last line', () => {
  assert.deepEqual(parseHeader(lineOf(encodeHeader({ hash: 'sha512', root: '/srv' }))), {
    hash: 'sha512',
    root: '/srv',
  });
  assert.deepEqual(parseLine(lineOf(encodeEnd(12)), 'sha256'), { records: 12 });
  const header = { assay: 'labels', version: 1, hash: 'sha256', root: '/' };
  for (const change of [{ assay: 'x' }, { version: 2 }, { hash: 'crc32' }, { root: 1 }]) {
    assert.throws(() => parseHeader(lineOf(JSON.stringify({ ...header, ...change }))), ParseError);
  }
});

test('any text is a record or a ParseError', () => {
  const good = encodeRecord(RECORD).trimEnd();
  fc.assert(
    fc.property(fc.nat(good.length), fc.nat(8), fc.string({ maxLength: 8 }), (at, cut, put) => {
      try {
        parseLine(lineOf(good.slice(0, at) + put + good.slice(at + cut)), 'sha256');
      } catch (error) {
        assert.ok(error instanceof ParseError);
      }
    }),
    { numRuns: 300 },
  );
});
