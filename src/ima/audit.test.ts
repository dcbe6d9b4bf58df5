import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ParseError } from '../bytes/index.ts';
import { parseIntegrityRecord } from './audit.ts';

// Written by Debian's kernel 6.1.192 over a changed file (test/system/guest-labels.test.ts).
const DENIED =
  'audit(1795478478.327:3): pid=108 uid=0 auid=4294967295 ses=4294967295 subj=unconfined op=appraise_data' +
  ' cause=invalid-hash comm="MainThread" name="/srv/hash-changed" dev="nvme0n1" ino=7368 res=0 errno=0';

test('operation, cause and file of a record', () => {
  assert.deepEqual(parseIntegrityRecord(DENIED), {
    op: 'appraise_data',
    cause: 'invalid-hash',
    name: Buffer.from('/srv/hash-changed'),
    comm: Buffer.from('MainThread'),
    ino: 7368n,
  });
});

test('old kernels quote operation and cause, and every kernel writes unusual names in hex', () => {
  const record = parseIntegrityRecord(
    'audit(1.000:1): pid=1 op="appraise_data" cause="missing-hash" comm=6120303D62 name=2F7372762F6120C3A9 res=1',
  );
  assert.deepEqual(record, {
    op: 'appraise_data',
    cause: 'missing-hash',
    name: Buffer.from('/srv/a é'),
    comm: Buffer.from('a 0=b'),
  });
});

test('what a process chose cannot stand for what the kernel says', () => {
  const record = parseIntegrityRecord(
    'audit(1.000:1): op=collect_data cause=failed comm="x" name="/a" cause=pass op=x',
  );
  assert.equal(record.op, 'collect_data');
  assert.equal(record.cause, 'failed');
  const quoted = parseIntegrityRecord('audit(1.000:1): op=a cause=b comm="op=x" name="cause=y"');
  assert.deepEqual([quoted.op, quoted.cause, quoted.name?.toString()], ['a', 'b', 'cause=y']);
});

test('a record of another form is a typed error', () => {
  for (const text of ['', 'audit(1.0:1): file="/a" hash="sha256:00"', `${DENIED} `.repeat(100)]) {
    assert.throws(() => parseIntegrityRecord(text), ParseError);
  }
  assert.throws(() => parseIntegrityRecord('op=a cause=b name=/a'), ParseError);
  assert.throws(() => parseIntegrityRecord('op=a cause=b ino=-1'), ParseError);
});

test('any text gives a record or a typed error', () => {
  const words = fc.constantFrom('op=', 'cause=', 'name=', '"', ' ', 'ino=', '=', 'ff', '\n', 'comm=');
  const text = fc.array(fc.oneof(words, fc.string({ maxLength: 6 })), { maxLength: 30 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, (line) => {
      try {
        parseIntegrityRecord(line);
      } catch (error) {
        assert.ok(error instanceof ParseError);
      }
    }),
    { numRuns: 300 },
  );
});
