import assert from 'node:assert/strict';
import { test } from 'node:test';
import { corpusLogs, needsCorpus } from '../../test/fixtures/boot-logs.ts';
import { digest } from '../bytes/index.ts';
import { EventType, eventTypeName } from './event-types.ts';
import type { BootEvent } from './log.ts';
import { parseBootLog } from './parse.ts';
import { digestMatchesPayload, type PayloadMatch, payloadText } from './payload.ts';

function event(type: number, data: Buffer, hashed: Buffer, pcr = 8): BootEvent {
  const digests = [{ tpmAlg: 0x000b, algorithm: 'sha256' as const, value: digest('sha256', hashed) }];
  return { index: 1, offset: 0, pcr, type, digests, data };
}

test("GRUB's text in PCR 8 is vouched for without prefix and NUL, its file names in PCR 9 are not", () => {
  const text = Buffer.from('grub_cmd: search.fs_uuid 0102 root\0');
  assert.equal(digestMatchesPayload(event(EventType.EV_IPL, text, text.subarray(10, -1)), 'sha256'), 'matches');
  const file = Buffer.from('/vmlinuz\0');
  assert.equal(digestMatchesPayload(event(EventType.EV_IPL, file, Buffer.from('ELF…')), 'sha256'), 'not-defined');
});

test('a payload that its type says is hashed, and is not, differs', () => {
  const separator = Buffer.alloc(4);
  assert.equal(digestMatchesPayload(event(EventType.EV_SEPARATOR, separator, separator), 'sha256'), 'matches');
  assert.equal(digestMatchesPayload(event(EventType.EV_SEPARATOR, separator, Buffer.from('x')), 'sha256'), 'differs');
  assert.equal(digestMatchesPayload(event(EventType.EV_SEPARATOR, separator, separator), 'sha1'), 'not-defined');
});

test('a firmware blob, a PE image or a hand-off table is never vouched for by its payload', () => {
  const data = Buffer.from('payload');
  for (const type of [0x01, 0x07, 0x80000003, 0x80000008, 0x80000009, 0x8000000a, 0x12345678]) {
    assert.equal(digestMatchesPayload(event(type, data, data), 'sha256'), 'not-defined');
  }
});

test('a boot variable is vouched for whether its structure or its data alone was hashed', () => {
  const data = Buffer.concat([Buffer.alloc(32), Buffer.from('BootOrder', 'utf16le'), Buffer.from([1, 0])]);
  data.writeBigUInt64LE(9n, 16);
  data.writeBigUInt64LE(2n, 24);
  for (const hashed of [data, data.subarray(-2)]) {
    assert.equal(digestMatchesPayload(event(EventType.EV_EFI_VARIABLE_BOOT, data, hashed, 1), 'sha256'), 'matches');
  }
  // Lengths that overflow 64 bits or point outside are no reading at all.
  data.writeBigUInt64LE(0xffffffffffffffffn, 16);
  assert.equal(
    digestMatchesPayload(event(EventType.EV_EFI_VARIABLE_BOOT, data, data.subarray(-2), 1), 'sha256'),
    'differs',
  );
});

test('text of strings is decoded, in UTF-8 and UTF-16, and bytes that are none give nothing', () => {
  const at = (type: number, data: Buffer) => payloadText(event(type, data, data));
  assert.equal(
    at(EventType.EV_EFI_ACTION, Buffer.from('Exit Boot Services Invocation')),
    'Exit Boot Services Invocation',
  );
  assert.equal(at(EventType.EV_IPL, Buffer.from('root=/dev/sda1\0', 'utf16le')), 'root=/dev/sda1');
  assert.equal(at(EventType.EV_IPL, Buffer.from([0xff, 0xfe, 0xfd])), undefined);
  assert.equal(at(EventType.EV_SEPARATOR, Buffer.from('abcd')), undefined);
});

test('an event type has its name, or its number', () => {
  assert.equal(eventTypeName(0x80000002), 'EV_EFI_VARIABLE_BOOT');
  assert.equal(eventTypeName(0xdeadbeef), '0xdeadbeef');
});

test('no digest of a real log contradicts a payload that its type defines', needsCorpus, () => {
  const seen = new Map<PayloadMatch, number>();
  for (const { name, bytes } of corpusLogs()) {
    for (const entry of parseBootLog(bytes).events) {
      for (const { algorithm } of entry.digests) {
        if (algorithm === undefined) continue;
        const match = digestMatchesPayload(entry, algorithm);
        seen.set(match, (seen.get(match) ?? 0) + 1);
        assert.notEqual(match, 'differs', `${name}, event ${entry.index}, ${eventTypeName(entry.type)}`);
      }
    }
  }
  assert.ok((seen.get('matches') ?? 0) > 300);
});

test('the name of a UKI section is vouched for where it was hashed, its content under the same name is not', () => {
  const name = Buffer.from('.linux\0', 'utf16le');
  assert.equal(digestMatchesPayload(event(EventType.EV_IPL, name, Buffer.from('.linux\0'), 11), 'sha256'), 'matches');
  assert.equal(digestMatchesPayload(event(EventType.EV_IPL, name, Buffer.from('MZ…'), 11), 'sha256'), 'not-defined');
});
