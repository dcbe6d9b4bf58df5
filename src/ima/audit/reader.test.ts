import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KERNEL_MESSAGES } from '../../../test/fixtures/audit-records.ts';
import { ParseError } from '../../bytes/index.ts';
import type { JournalField } from './journal.ts';
import { MAX_LINE } from './lines.ts';
import { AuditReader, type LocatedFind } from './reader.ts';

function read(bytes: Buffer, sizes: Iterable<number> = [bytes.length]): LocatedFind[] {
  const reader = new AuditReader();
  const finds: LocatedFind[] = [];
  let at = 0;
  for (const size of sizes) {
    finds.push(...reader.push(bytes.subarray(at, at + size)));
    at += size;
  }
  return [...finds, ...reader.push(bytes.subarray(at)), ...reader.end()];
}

const MESSAGES = Object.values(KERNEL_MESSAGES);
const LOG = Buffer.from(MESSAGES.map((message) => `[    1.0] ${message}\n[    1.0] another line\n`).join(''));

type Fields = { readonly [field in JournalField]?: string };

const kernelEntry = (message: string): Fields => ({ _TRANSPORT: 'kernel', MESSAGE: message });

/** As journald 252 keeps what it heard (test/system/guest-audit.test.ts). */
function auditEntry(message: string): Fields {
  const [, type = '', seconds = '', millis = '', serial = '', body = ''] =
    /^audit: type=(\d+) audit\((\d+)\.(\d+):(\d+)\): (.*)$/.exec(message) ?? [];
  return {
    _TRANSPORT: 'audit',
    _AUDIT_TYPE: type,
    _AUDIT_ID: serial,
    _SOURCE_REALTIME_TIMESTAMP: `${seconds}${millis}000`,
    MESSAGE: `INTEGRITY_SOMETHING ${body}`,
  };
}

const exported = (entry: Fields): Buffer =>
  Buffer.concat([
    Buffer.from('__CURSOR=s=1;i=2\nSYSLOG_IDENTIFIER=audit\n'),
    ...Object.entries(entry).map(([name, value]) =>
      name === 'MESSAGE' ? binaryField(name, value) : Buffer.from(`${name}=${value}\n`),
    ),
    binaryField('_AUDIT_FIELD_NAME', 'line\n\nbreak'),
    Buffer.from('\n'),
  ]);

function binaryField(name: string, value: string): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(Buffer.byteLength(value, 'latin1')));
  return Buffer.concat([Buffer.from(`${name}\n`), size, Buffer.from(`${value}\n`, 'latin1')]);
}

const EXPORT = Buffer.concat(MESSAGES.map((message) => exported(auditEntry(message))));

test('the lines of a log, wherever the chunks end', () => {
  const whole = read(LOG);
  assert.equal(whole.length, MESSAGES.length);
  assert.deepEqual(
    whole.map(({ position }) => position),
    MESSAGES.map((_, index) => 2 * index + 1),
  );
  for (const bytes of [LOG, EXPORT]) {
    const expected = read(bytes);
    assert.equal(expected.length, MESSAGES.length);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 40 }), (sizes) => {
        assert.deepEqual(read(bytes, sizes), expected);
      }),
      { numRuns: 50 },
    );
  }
});

test('the journal’s JSON and export give the same records', () => {
  const json = MESSAGES.map((message) => `${JSON.stringify(auditEntry(message))}\n`).join('');
  assert.deepEqual(read(Buffer.from(json)), read(EXPORT));
});

test('a journal’s field that came as bytes or repeatedly', () => {
  const entry = auditEntry(KERNEL_MESSAGES.missingHash);
  const bytes = { ...entry, MESSAGE: [...Buffer.from(entry.MESSAGE ?? '')] };
  const twice = { ...entry, MESSAGE: [entry.MESSAGE, 'other'] };
  for (const value of [bytes, twice]) {
    const [found] = read(Buffer.from(JSON.stringify(value)));
    assert.equal(found?.find.kind, 'record');
  }
});

test('a record that the kernel printed and journald heard is one; the same twice is two', () => {
  const { missingHash } = KERNEL_MESSAGES;
  const entries = [
    kernelEntry(missingHash),
    auditEntry(missingHash),
    auditEntry(missingHash),
    kernelEntry(missingHash),
  ];
  const lines = entries.map((entry) => JSON.stringify(entry)).join('\n');
  assert.equal(read(Buffer.from(lines)).length, 2);
  const printed = [kernelEntry(missingHash), kernelEntry(missingHash)].map((entry) => JSON.stringify(entry)).join('\n');
  assert.equal(read(Buffer.from(printed)).length, 2);
});

test('in the journal, a process that calls itself the kernel is none', () => {
  const { missingHash } = KERNEL_MESSAGES;
  const forged = [
    { _TRANSPORT: 'syslog', SYSLOG_IDENTIFIER: 'kernel', MESSAGE: missingHash },
    { _TRANSPORT: 'stdout', MESSAGE: missingHash },
    { ...auditEntry(missingHash), _TRANSPORT: 'journal' },
  ];
  assert.deepEqual(read(Buffer.from(forged.map((entry) => JSON.stringify(entry)).join('\n'))), []);
});

test('a damaged line is reported and the rest read', () => {
  const lines = [`${KERNEL_MESSAGES.missingHash} ${'x'.repeat(MAX_LINE + 5)}`, KERNEL_MESSAGES.metadata];
  const text = read(Buffer.from(`${lines[0]}\n{"MESSAGE": cut\n${lines[1]}\n`));
  assert.deepEqual(
    text.map(({ find, position }) => [find.kind, position]),
    [
      ['unreadable', 1],
      ['unreadable', 2],
      ['record', 3],
    ],
  );
});

test('an export that is damaged or ends inside a field is an error with its place', () => {
  const withLength = (length: bigint): Buffer => {
    const bytes = Buffer.concat([Buffer.from('__CURSOR=1\nMESSAGE\n'), Buffer.alloc(8), Buffer.from('x\n')]);
    bytes.writeBigUInt64LE(length, 19);
    return bytes;
  };
  for (const [bytes, offset] of [
    [Buffer.from('__CURSOR=1\nno field\n'), 11],
    [Buffer.from(`__CURSOR=1\n${'A'.repeat(100)}`), 11],
    [Buffer.from('__CURSOR=1\nMESSAGE\n\u0005'), 20],
    [withLength(1n << 60n), 19],
    [withLength(1n << 20n), 29],
  ] as const) {
    assert.throws(
      () => read(bytes),
      (error) => error instanceof ParseError && error.offset === offset,
    );
  }
});

test('any bytes give finds or a typed error, in bounded memory', () => {
  const start = fc.constantFrom('', '__CURSOR=1\n', '{', 'type=INTEGRITY_DATA msg=');
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 200 }), (head, rest) => {
      try {
        read(Buffer.concat([Buffer.from(head), rest]));
      } catch (error) {
        assert.ok(error instanceof ParseError);
      }
    }),
    { numRuns: 500 },
  );
  const reader = new AuditReader();
  const chunk = Buffer.alloc(1 << 20, 'a');
  for (let i = 0; i < 64; i++) assert.deepEqual(reader.push(chunk), []);
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 64; i++) reader.push(chunk);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1 << 22);
});
