import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeAuditMessage } from './audit.ts';
import { SysError } from './error.ts';

/** struct nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32. */
function message(type: number, text: string, length = 16 + text.length): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(length, 0);
  header.writeUInt16LE(type, 4);
  return Buffer.concat([header, Buffer.from(text, 'latin1')]);
}

test('a datagram is one record, whatever length its header counts', () => {
  const record = { kind: 'record', type: 1800, text: 'audit(1.000:1): op=appraise_data' };
  const whole = message(1800, record.text);
  assert.deepEqual(decodeAuditMessage(whole), record);
  assert.deepEqual(decodeAuditMessage(message(1800, record.text, record.text.length)), record);
  assert.deepEqual(decodeAuditMessage(message(1800, `${record.text}\0\0`)), record);
});

test('a datagram without a header is refused', () => {
  assert.throws(() => decodeAuditMessage(Buffer.alloc(15)), SysError);
});
