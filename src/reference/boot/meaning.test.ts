import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agileLog, specIdPayload, type TestEvent } from '../../../test/fixtures/boot-logs.ts';
import { parseBootLog } from '../../boot/index.ts';
import { ByteWriter, digest } from '../../bytes/index.ts';
import { bootOptionMeanings } from './meaning.ts';

const GLOBAL = Buffer.from('61dfe48bca93d211aa0d00e098032b8c', 'hex');
function variable(name: string, value: Buffer): TestEvent {
  const writer = new ByteWriter().bytes(GLOBAL).u64le(BigInt(name.length)).u64le(BigInt(value.length));
  const data = Buffer.from(writer.bytes(Buffer.from(name, 'utf16le')).bytes(value).finish());
  return { pcr: 1, type: 0x80000002, digests: [[0x0b, digest('sha256', data)]], data };
}
const option = (description: string) =>
  Buffer.concat([Buffer.from('010000000000', 'hex'), Buffer.from(`${description}\0`, 'utf16le')]);
function meaningsOf(...events: readonly TestEvent[]): string[] {
  const log = parseBootLog(agileLog(specIdPayload([[0x0b, 32]]), events));
  return [...bootOptionMeanings(log.events.slice(1), log, 'sha256').values()];
}

test('an order of options with long names means no more than it has room for, whoever wrote it', () => {
  const order = (count: number) => variable('BootOrder', Buffer.from('0100'.repeat(count), 'hex'));
  const long = variable('Boot0001', option('x'.repeat(500_000)));
  const [, meaning = ''] = meaningsOf(long, order(1000));
  assert.match(meaning, /^BootOrder "x+… sha256:[0-9a-f]{64}$/);
  assert.ok(meaning.length < 1200);
  assert.equal(meaningsOf(long, order(100_000)).length, 1, 'more options than any machine has: by its digest');
  assert.equal(meaningsOf(long, ...Array.from({ length: 1000 }, () => order(1000))).length, 2, 'each is measured once');
});
