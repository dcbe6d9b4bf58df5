import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KERNEL_MESSAGES } from '../../../test/fixtures/audit-records.ts';
import { ParseError } from '../../bytes/index.ts';
import { parseAuditLine } from './line.ts';
import { parseIntegrityRecord } from './parse.ts';
import { INTEGRITY_TYPES, type IntegrityRecord, integrityType } from './record.ts';

function recordOf(line: string): IntegrityRecord {
  const found = parseAuditLine(line);
  assert.equal(found?.kind, 'record');
  return found.record;
}

test('every field of a denial', () => {
  assert.deepEqual(recordOf(KERNEL_MESSAGES.missingHash), {
    kind: 'operation',
    type: 'INTEGRITY_DATA',
    pid: 413,
    uid: 0,
    auid: 0xffff_ffff,
    ses: 0xffff_ffff,
    subj: 'unconfined',
    op: 'appraise_data',
    cause: 'missing-hash',
    comm: Buffer.from('MainThread'),
    name: Buffer.from('/srv/before/plain'),
    dev: 'nvme0n1',
    ino: 7700n,
    succeeded: false,
    errno: 0,
  });
});

test('names that look like a record are names', () => {
  const file = recordOf(KERNEL_MESSAGES.nameLikeARecord);
  assert.equal(file.kind, 'operation');
  assert.deepEqual(
    [file.op, file.cause, Buffer.from(file.name ?? []).toString()],
    ['appraise_data', 'missing-hash', '/srv/before/op=collect_data cause=failed comm="x" res=1'],
  );
  const process = recordOf(KERNEL_MESSAGES.commLikeARecord);
  assert.equal(process.kind, 'operation');
  assert.deepEqual([process.op, Buffer.from(process.comm).toString()], ['appraise_data', 'op=a cause=b']);
});

test('a file that a rule audit recorded', () => {
  const record = recordOf(KERNEL_MESSAGES.fileHash);
  assert.equal(record.kind, 'file-hash');
  const { file, algorithm, digest, task } = record;
  assert.deepEqual(
    [Buffer.from(file).toString(), algorithm, digest.length, task.ppid, task.tty, task.subj],
    ['/srv/before/audited plain', 'sha256', 32, 94, '(none)', 'unconfined'],
  );
  assert.equal(Buffer.from(task.exe ?? []).toString(), '/usr/bin/node');
});

test('rules of a policy, as far as the kernel read them', () => {
  assert.deepEqual(recordOf(KERNEL_MESSAGES.ruleAccepted), {
    kind: 'policy-rule',
    type: 'INTEGRITY_POLICY_RULE',
    rule: 'audit func=FILE_CHECK mask=^MAY_READ fowner=1013 uid<1',
    accepted: true,
  });
  const refused = recordOf(KERNEL_MESSAGES.ruleRefused);
  assert.deepEqual(refused.kind === 'policy-rule' && [refused.rule, refused.accepted], [
    'appraise func=FILE_CHECK nonsense',
    false,
  ]);
});

test('an attribute of EVM: res=0 is the success, and where memory was short it comes without a name', () => {
  const added = parseIntegrityRecord('INTEGRITY_EVM_XATTR', 'xattr="security.other" res=0');
  assert.deepEqual(added.kind === 'evm-xattr' && [added.errno, Buffer.from(added.xattr ?? []).toString()], [
    0,
    'security.other',
  ]);
  const failed = parseIntegrityRecord('INTEGRITY_EVM_XATTR', ' res=-12');
  assert.deepEqual(failed, { kind: 'evm-xattr', type: 'INTEGRITY_EVM_XATTR', errno: -12 });
});

test('kernels before 5.9 quote operation and cause and tell no errno; the first did not quote the device', () => {
  // The form of the Integrity Overview's slides.
  const record = parseIntegrityRecord(
    'INTEGRITY_DATA',
    'pid=1 uid=0 auid=0 ses=1 op="appraise_data" cause="IMA signature required" comm="bash" name="/a" dev=sda1 ino=5 res=1',
  );
  assert.equal(record.kind, 'operation');
  const { op, cause, dev, succeeded, errno } = record;
  assert.deepEqual(
    [op, cause, dev, succeeded, errno],
    ['appraise_data', 'IMA signature required', 'sda1', true, undefined],
  );
});

test('kernels before 4.19 give rules of a policy as 1805, with quotes, and a digest without its algorithm', () => {
  const rule = parseIntegrityRecord('INTEGRITY_RULE', 'action="audit" func="BPRM_CHECK" mask="MAY_EXEC" res=1');
  assert.deepEqual(rule.kind === 'policy-rule' && rule.rule, 'audit func=BPRM_CHECK mask=MAY_EXEC');
  const hash = parseIntegrityRecord('INTEGRITY_RULE', 'file="/a" hash="533aab6a" pid=1 comm="a" exe="/a"');
  assert.deepEqual(hash.kind === 'file-hash' && [hash.algorithm, hash.digest], [
    undefined,
    Buffer.from('533aab6a', 'hex'),
  ]);
});

test('a cause of several words, which kernels since 5.9 do not quote', () => {
  const record = parseIntegrityRecord(
    'INTEGRITY_STATUS',
    'pid=1 uid=0 auid=0 ses=1 op=policy_update cause=signed policy required comm="sh" res=0 errno=0',
  );
  assert.equal(record.kind === 'operation' && record.cause, 'signed policy required');
});

test('a security context cannot stand for the operation', () => {
  const forged = 'x (enforce) op=appraise_data cause=pass comm="x" name="/forged" res=1 errno=0';
  const record = parseIntegrityRecord(
    'INTEGRITY_DATA',
    `pid=7 uid=0 auid=0 ses=1 subj=${forged} op=appraise_data cause=invalid-hash comm="cat" name="/real" res=0 errno=0`,
  );
  assert.equal(record.kind, 'operation');
  const { subj, cause, name, succeeded } = record;
  assert.deepEqual(
    [subj, cause, Buffer.from(name ?? []).toString(), succeeded],
    [forged, 'invalid-hash', '/real', false],
  );
});

test('of a name that comes twice behind the process, the first counts', () => {
  const record = parseIntegrityRecord(
    'INTEGRITY_DATA',
    'pid=7 op=a cause=b comm="cat" name="/real" res=0 name="/forged" res=1 errno=0',
  );
  assert.equal(record.kind, 'operation');
  assert.deepEqual([Buffer.from(record.name ?? []).toString(), record.succeeded], ['/real', false]);
});

test('a record that was cut off anywhere is an error', () => {
  for (const message of Object.values(KERNEL_MESSAGES)) {
    const { text, start, type } = partsOf(message);
    // What stands last may itself have been longer: no end mark tells, and it is none of what happened.
    const last = Math.max(text.lastIndexOf(' errno='), text.lastIndexOf(' subj='), text.lastIndexOf(' res='));
    for (let end = start; end < last; end++) {
      assert.throws(() => parseIntegrityRecord(type, text.slice(0, end), start), ParseError, text.slice(0, end));
    }
  }
});

function partsOf(message: string): { type: keyof typeof INTEGRITY_TYPES; text: string; start: number } {
  const type = integrityType(/type=(\d+)/.exec(message)?.[1] ?? '');
  assert.ok(type !== undefined);
  return { type, text: message, start: message.indexOf('): ') + 3 };
}

test('errors give the place', () => {
  const at = (text: string): unknown => {
    try {
      return parseIntegrityRecord('INTEGRITY_DATA', text);
    } catch (error) {
      assert.ok(error instanceof ParseError);
      return [error.code, error.offset];
    }
  };
  assert.deepEqual(at(''), ['parse.invalid', 0]);
  assert.deepEqual(at('file="/a" hash="sha256:00"'), ['parse.invalid', 0]);
  assert.deepEqual(at('op=a cause=b name="/a" res=1'), ['parse.truncated', 28]);
  assert.deepEqual(at('op=a cause=b comm=cat res=1'), ['parse.invalid', 18]);
  assert.deepEqual(at('op=a cause=b comm=6G res=1'), ['parse.invalid', 18]);
  assert.deepEqual(at('op=a cause=b comm=6 res=1'), ['parse.invalid', 18]);
  assert.deepEqual(at('op=a cause=b comm="a" junk res=1'), ['parse.invalid', 22]);
  assert.deepEqual(at('op=a cause=b comm="a" ino=-1 res=1'), ['parse.invalid', 26]);
  assert.deepEqual(at('op=a cause=b comm="a" res=yes'), ['parse.invalid', 26]);
  assert.deepEqual(at(`op=a cause=b comm="a" name="${'a'.repeat(20_000)}" res=1`), ['parse.too-large', 16_384]);
});

test('any text gives a record or a typed error', () => {
  const word = fc.constantFrom(
    'op=',
    'cause=',
    'name=',
    '"',
    ' ',
    'ino=',
    '=',
    'ff',
    'FF',
    '\n',
    'comm=',
    'res=0',
    'hash=',
  );
  const text = fc.array(fc.oneof(word, fc.string({ maxLength: 6 })), { maxLength: 30 }).map((parts) => parts.join(''));
  const type = fc.constantFrom(...Object.keys(INTEGRITY_TYPES).map((name) => integrityType(name)));
  fc.assert(
    fc.property(type, text, (kind, line) => {
      try {
        if (kind !== undefined) parseIntegrityRecord(kind, line);
      } catch (error) {
        assert.ok(error instanceof ParseError);
      }
    }),
    { numRuns: 500 },
  );
});
