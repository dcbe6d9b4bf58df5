import assert from 'node:assert/strict';
import { test } from 'node:test';
import { variableData } from './variable-file.ts';

const DATA = Buffer.from('signature lists');

test('a file of efivarfs, a signed update and plain data give the same', () => {
  const attributes = Buffer.from('27000000', 'hex');
  const name = '/sys/firmware/efi/efivars/db-d719b2cb-3d3a-4596-a3bc-dad00e67656f';
  assert.deepEqual(variableData(name, Buffer.concat([attributes, DATA])), DATA);
  // EFI_TIME, then WIN_CERTIFICATE_UEFI_GUID of 24 + 8 bytes.
  const header = Buffer.alloc(16 + 32);
  header.writeUInt32LE(32, 16);
  header.writeUInt16LE(0x0200, 20);
  header.writeUInt16LE(0x0ef1, 22);
  assert.deepEqual(variableData('db.auth', Buffer.concat([header, DATA])), DATA);
  assert.deepEqual(variableData('db.esl', DATA), DATA);
  header.writeUInt32LE(0xffffffff, 16);
  assert.deepEqual(variableData('db.auth', header), header);
});
