import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KERNEL_MESSAGES } from '../../../test/fixtures/audit-records.ts';
import { ImaError } from '../error.ts';
import { parseAuditLine, parseStamped } from './line.ts';
import { parseIntegrityRecord } from './parse.ts';
import type { OperationRecord } from './record.ts';
import { formatUntrusted, parseUntrusted } from './untrusted.ts';
import { formatAuditLogLine, formatIntegrityRecord, formatKernelMessage, formatStamped } from './write.ts';

test('what a kernel wrote is written back byte for byte', () => {
  for (const message of Object.values(KERNEL_MESSAGES)) {
    const found = parseAuditLine(message);
    assert.ok(found?.kind === 'record' && found.stamp !== undefined);
    assert.equal(formatKernelMessage(found.stamp, found.record), message);
    const line = formatAuditLogLine(found.stamp, found.record);
    const again = parseAuditLine(line);
    assert.ok(again?.kind === 'record');
    assert.deepEqual(again.record, found.record, line);
  }
});

/** The one who appraises in the kernel's place knows no more than this. */
const DENIAL: OperationRecord = {
  kind: 'operation',
  type: 'INTEGRITY_DATA',
  op: 'appraise_data',
  cause: 'invalid-hash',
  comm: Buffer.from('sh'),
  succeeded: false,
};

test('a process of which little is known is written as one without a login', () => {
  assert.equal(
    formatIntegrityRecord(DENIAL),
    'pid=0 uid=0 auid=4294967295 ses=4294967295 op=appraise_data cause=invalid-hash comm="sh" res=0 errno=0',
  );
});

test('a text is quoted where every byte is a visible ASCII character and no quote', () => {
  assert.equal(formatUntrusted(Buffer.from('/usr/bin/[')), '"/usr/bin/["');
  assert.equal(formatUntrusted(Buffer.from('a b')), '612062');
  assert.equal(formatUntrusted(Buffer.from('a"b')), '612262');
  assert.equal(formatUntrusted(Buffer.from('é')), 'C3A9');
  assert.equal(formatUntrusted(Buffer.of(0x7f)), '7F');
  assert.equal(formatUntrusted(Buffer.alloc(0)), '""');
});

const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 });

test('whatever a file or process is called, it is read back, and nothing else', () => {
  fc.assert(
    fc.property(bytes, bytes, fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (comm, name, ino) => {
      const record = { ...DENIAL, comm: Buffer.from(comm), name: Buffer.from(name), dev: 'sda1', ino };
      const text = formatStamped({ seconds: 7, millis: 5, serial: 9 }, record);
      assert.doesNotMatch(text, /\n/);
      const found = parseStamped('INTEGRITY_DATA', text);
      assert.ok(found.kind === 'record' && found.record.kind === 'operation');
      const { pid: _, uid: __, auid: ___, ses: ____, errno: _____, ...same } = found.record;
      assert.deepEqual([found.stamp, same], [{ seconds: 7, millis: 5, serial: 9 }, record]);
    }),
  );
  fc.assert(
    fc.property(bytes, (name) => {
      assert.deepEqual(parseUntrusted(formatUntrusted(name), 0), Buffer.from(name));
    }),
  );
});

test('a cause or an operation that would be read as another record is refused', () => {
  for (const wrong of [{ op: 'a b' }, { op: '' }, { cause: 'x comm="y"' }, { cause: 'a\nb' }, { subj: 'a\nb' }]) {
    assert.throws(() => formatIntegrityRecord({ ...DENIAL, ...wrong }), ImaError);
  }
});

test('a rule is told without what the kernel does not tell', () => {
  const record = {
    kind: 'policy-rule',
    type: 'INTEGRITY_POLICY_RULE',
    rule: 'appraise func=FILE_CHECK permit_directio uid>1000 nonsense',
    accepted: false,
  } as const;
  const text = formatIntegrityRecord(record);
  assert.equal(text, 'action=appraise func=FILE_CHECK uid>1000 UNKNOWN=nonsense res=0');
  assert.deepEqual(parseIntegrityRecord('INTEGRITY_POLICY_RULE', text), {
    ...record,
    rule: 'appraise func=FILE_CHECK uid>1000 nonsense',
  });
});
