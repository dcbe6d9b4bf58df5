import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha1Log } from '../../../test/fixtures/boot-logs.ts';
import { digest, ParseError } from '../../bytes/index.ts';
import { BootError } from '../error.ts';
import { replayBootLog } from '../replay.ts';
import { looksLikeTxtContainer, parseTxtContainer } from './txt-container.ts';

const SHA1 = digest('sha1', Buffer.from('sinit'));
const EVENTS = sha1Log([
  { pcr: 255, type: 0x401, digests: [], data: Buffer.alloc(0) },
  { pcr: 17, type: 0x402, digests: [[0x0004, SHA1]], data: Buffer.from('x') },
]);

function container(start = 48, end = 48 + EVENTS.length): Buffer {
  const head = Buffer.alloc(48);
  head.write('TXT Event Container\0', 'latin1');
  head.writeUInt8(1, 32);
  head.writeUInt8(1, 34);
  head.writeUInt32LE(20480, 36);
  head.writeUInt32LE(start, 40);
  head.writeUInt32LE(end, 44);
  return Buffer.concat([head, EVENTS, Buffer.alloc(100)]);
}

test('the events of a container are read and replayed, and the space after them is left alone', () => {
  const bytes = container();
  assert.ok(looksLikeTxtContainer(bytes) && !looksLikeTxtContainer(EVENTS));
  const log = parseTxtContainer(bytes);
  assert.deepEqual(
    log.events.map(({ pcr, offset }) => [pcr, offset]),
    [
      [255, 48],
      [17, 80],
    ],
  );
  assert.deepEqual(replayBootLog(log), { sha1: { 17: digest('sha1', Buffer.alloc(20), SHA1).toString('hex') } });
});

test('offsets outside the container are refused, and a cut event has its offset in the file', () => {
  for (const [start, end] of [
    [0, 60],
    [60, 50],
    [48, 5000],
  ] as const) {
    assert.throws(
      () => parseTxtContainer(container(start, end)),
      (error) => error instanceof ParseError && error.offset === 40,
    );
  }
  assert.throws(
    () => parseTxtContainer(container(48, 48 + EVENTS.length - 1)),
    (error) => error instanceof ParseError && error.offset === 48 + EVENTS.length - 1,
  );
});

test('any bytes after the signature give a log or a typed error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (rest) => {
      try {
        parseTxtContainer(Buffer.concat([Buffer.from('TXT Event Container\0'), rest]));
      } catch (error) {
        if (!(error instanceof ParseError || error instanceof BootError)) throw error;
      }
    }),
    { numRuns: 200 },
  );
});
