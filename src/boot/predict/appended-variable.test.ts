import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agileLog, specIdPayload } from '../../../test/fixtures/boot-logs.ts';
import { ByteWriter, digest } from '../../bytes/index.ts';
import { parseBootLog } from '../parse.ts';
import { appendedVariable, lostSignatures } from './appended-variable.ts';
import { variableData } from './secure-boot.ts';

/** UEFI 2.10, 32.4.1: EFI_CERT_SHA256_GUID; hashes of one owner. */
function list(...fills: readonly number[]): Buffer {
  const type = Buffer.from('2616c4c14c509240aca941f936934328', 'hex');
  const writer = new ByteWriter()
    .bytes(type)
    .u32le(28 + fills.length * 48)
    .u32le(0)
    .u32le(48);
  for (const fill of fills) writer.bytes(Buffer.concat([Buffer.alloc(16, 0xee), Buffer.alloc(32, fill)]));
  return Buffer.from(writer.finish());
}
function baseWith(dbx: Buffer) {
  const data = variableData(Buffer.from('cbb219d73a3d9645a3bcdad00e67656f', 'hex'), 'dbx', dbx);
  const digests = [[0x0b, digest('sha256', data)]] as const;
  return parseBootLog(agileLog(specIdPayload([[0x0b, 32]]), [{ pcr: 7, type: 0x80000001, digests, data }]));
}

test('what an update of dbx brings stands behind what there is, less what is there already', () => {
  const base = baseWith(list(1, 2));
  assert.deepEqual(appendedVariable(base, 'dbx', list(2, 3)), Buffer.concat([list(1, 2), list(3)]));
  assert.deepEqual(
    appendedVariable(base, 'dbx', Buffer.concat([list(1), list(4)])),
    Buffer.concat([list(1, 2), list(4)]),
  );
  assert.deepEqual(appendedVariable(base, 'dbx', list(1)), list(1, 2));
  assert.deepEqual(appendedVariable(baseWith(Buffer.alloc(0)), 'dbx', list(1)), list(1));
});

test('what is no list, and a variable that the log lacks, are refused', () => {
  const base = baseWith(list(1));
  assert.throws(() => appendedVariable(base, 'dbx', Buffer.from('x')), /what is appended to dbx: list, type/);
  assert.throws(() => appendedVariable(base, 'dbx', list(1).subarray(0, 50)), /what is appended to dbx: list/);
  assert.throws(() => appendedVariable(base, 'db', list(1)), /has no variable db/);
  assert.throws(() => appendedVariable(baseWith(Buffer.from('none')), 'dbx', list(1)), /base log, variable dbx/);
});

test('revocations that would be lost are counted', () => {
  assert.equal(lostSignatures(list(1, 2, 3), Buffer.concat([list(3), list(1)])), 1);
  assert.equal(lostSignatures(Buffer.alloc(0), list(1)), 0);
});
