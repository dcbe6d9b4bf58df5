import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse, parseDocument } from 'yaml';
import { agileLog, specIdPayload } from '../../../test/fixtures/boot-logs.ts';
import { digest } from '../../bytes/index.ts';
import { EventType } from '../event-types.ts';
import { parseBootLog } from '../parse.ts';
import { tpm2EventlogYaml } from './log.ts';

const SHA256 = 0x000b;

function yamlOf(type: number, data: Uint8Array, version: 1 | 2): string {
  const event = { pcr: 7, type, digests: [[SHA256, digest('sha256', data)]] as const, data: Buffer.from(data) };
  return [...tpm2EventlogYaml(parseBootLog(agileLog(specIdPayload([[SHA256, 32]]), [event])), version)].join('');
}

test('any bytes under any type give YAML with as many events as the log has', () => {
  const types = fc.oneof(fc.constantFrom(...Object.values(EventType)), fc.nat(0x20));
  const text = fc.string({ unit: 'binary', maxLength: 40 }).map((words) => Buffer.from(words));
  const data = fc.oneof(fc.uint8Array({ maxLength: 120 }), text);
  fc.assert(
    fc.property(types, data, fc.constantFrom<(1 | 2)[]>(1, 2), (type, bytes, version) => {
      const document = parseDocument(yamlOf(type, bytes, version), { schema: 'failsafe' });
      assert.deepEqual(document.errors, []);
      assert.equal(document.toJS().events.length, 2);
    }),
    { numRuns: 300 },
  );
});

test('a payload of line ends or of the least signatures does not become a text without bounds', () => {
  const lines = Buffer.alloc(3 << 20, 0x0a);
  const shown = yamlOf(EventType.EV_IPL, lines, 2);
  assert.ok(shown.length < 4096 && shown.includes(`Event: "${'0a'.repeat(1024)}"`));
  const count = 40_000;
  const list = Buffer.alloc(28 + count * 16);
  list.writeUInt32LE(list.length, 16);
  list.writeUInt32LE(16, 24);
  const head = Buffer.alloc(32);
  head.writeBigUInt64LE(2n, 16);
  head.writeBigUInt64LE(BigInt(list.length), 24);
  const db = Buffer.concat([head, Buffer.from('db', 'utf16le'), list]);
  const keys = yamlOf(EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, db, 2).match(/- SignatureOwner:/g);
  assert.equal(keys?.length, count);
});

test('an EFI variable with any name, and a load option with any description, come back as they are', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 12 }), (text) => {
      const [name = ''] = text.split('\0', 1);
      const head = Buffer.alloc(32);
      head.writeBigUInt64LE(BigInt(name.length), 16);
      const read = parse(
        yamlOf(EventType.EV_EFI_VARIABLE_BOOT, Buffer.concat([head, Buffer.from(name, 'utf16le')]), 2),
        {
          schema: 'failsafe',
        },
      );
      assert.equal(read.events[1].Event.UnicodeName ?? '', name);
      const option = Buffer.concat([Buffer.from('010000000000', 'hex'), Buffer.from(`${name}\0`, 'utf16le')]);
      head.writeBigUInt64LE(8n, 16);
      head.writeBigUInt64LE(BigInt(option.length), 24);
      const boot = Buffer.concat([head, Buffer.from('Boot0001', 'utf16le'), option]);
      const { events } = parse(yamlOf(EventType.EV_EFI_VARIABLE_BOOT, boot, 2), { schema: 'failsafe' });
      assert.equal(events[1].Event.VariableData.Description, name);
    }),
    { numRuns: 200 },
  );
});
