import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digest, ParseError } from '../../bytes/index.ts';
import { decodeEvent } from '../decode/decode-event.ts';
import { BootError } from '../error.ts';
import { replayBootLog } from '../replay.ts';
import { looksLikeTxtStat, parseTxtStat } from './txt-stat.ts';

const spaced = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => `${byte.toString(16).padStart(2, '0')} `).join('');

/** As print_event and print_hex of tboot write one: sixteen bytes a line. */
function printed(pcr: number, type: number, value: Uint8Array, data = Buffer.alloc(0)): string {
  const rows = Array.from({ length: Math.ceil(data.length / 16) }, (_, i) => data.subarray(i * 16, i * 16 + 16));
  const head = `\t\t\t Event:\n\t\t\t     PCRIndex: ${pcr}\n\t\t\t         Type: 0x${type.toString(16)}\n`;
  const body = `\t\t\t       Digest: ${spaced(value)}\n\t\t\t         Data: ${data.length} bytes`;
  return `${head}${body}${rows.map((row) => `\n\t\t\t         ${spaced(row)}`).join('')}\n`;
}

const SHA1 = digest('sha1', Buffer.from('sinit'));
const SHA256 = digest('sha256', Buffer.from('sinit'));
const TEXT = `Intel(r) TXT Configuration Registers:\n${printed(255, 0x401, Buffer.alloc(20))}${printed(17, 0x402, SHA1, Buffer.alloc(20, 7))}***\n${printed(17, 0x402, SHA256)}`;

test('the events of each bank are read out of the text and replayed', () => {
  assert.ok(looksLikeTxtStat(Buffer.from(TEXT)));
  assert.ok(!looksLikeTxtStat(Buffer.from('\t\0\0\0PCRIndex:')));
  const log = parseTxtStat(TEXT);
  assert.deepEqual(
    log.events.map(({ pcr, type, data }) => [pcr, type, data.length]),
    [
      [255, 0x401, 0],
      [17, 0x402, 20],
      [17, 0x402, 0],
    ],
    'the banks do not run alike',
  );
  const [first] = log.events;
  assert.ok(first !== undefined);
  assert.notEqual(decodeEvent(first, log).payload.kind, 'spec-id');
  assert.deepEqual(replayBootLog(log), {
    sha1: { 17: digest('sha1', Buffer.alloc(20), SHA1).toString('hex') },
    sha256: { 17: digest('sha256', Buffer.alloc(32), SHA256).toString('hex') },
  });
});

test('the logs of two banks that run alike become one, without the record that begins the second', () => {
  const data = Buffer.alloc(20, 7);
  const descriptor = printed(0, 3, Buffer.alloc(20), Buffer.alloc(24));
  const { events, specId } = parseTxtStat(
    printed(17, 0x402, SHA1, data) + descriptor + printed(17, 0x402, SHA256, data),
  );
  assert.deepEqual(
    events.map(({ index, pcr, digests }) => [index, pcr, digests.map(({ algorithm }) => algorithm)]),
    [[0, 17, ['sha1', 'sha256']]],
  );
  assert.deepEqual(
    specId?.algorithms.map(({ size }) => size),
    [20, 32],
  );
});

/** As print_event_2_1 of tboot writes one: digests on lines of their own, under their names. */
function printedAgile(pcr: number, type: number, data = Buffer.alloc(0)): string {
  const head = `\t\t\t TCG Event:\n\t\t\t      pcr_index: ${pcr}\n\t\t\t     event_type: 0x${type.toString(16)}\n`;
  const digests = `\t\t\t          count: 2\nSHA1: \n${spaced(SHA1)}\nSHA256: \n${spaced(SHA256)}\n`;
  const rows = data.length === 0 ? '' : `\n\t\t\t     ${spaced(data)}`;
  return `${head}${digests}\t\t\t     event_data: ${data.length} bytes${rows}\n`;
}

test('the form of a crypto-agile log is read, with every digest by its name', () => {
  const text = `\t TCG Event Log Header:\n\t\t       pcr_index: 0\n${printedAgile(255, 0x401)}${printedAgile(17, 0x404, Buffer.from('mle'))}`;
  assert.ok(looksLikeTxtStat(Buffer.from(text)));
  const log = parseTxtStat(text);
  assert.deepEqual(
    log.events.map(({ pcr, type, data }) => [pcr, type, Buffer.from(data).toString()]),
    [
      [255, 0x401, ''],
      [17, 0x404, 'mle'],
    ],
  );
  assert.equal(replayBootLog(log).sha256?.['17'], digest('sha256', Buffer.alloc(32), SHA256).toString('hex'));
  for (const wrong of [
    text.replace('SHA256:', 'SHA384:'),
    text.replace('SHA256:', 'SHA1:'),
    text.replace('count: 2', 'count: 99'),
  ]) {
    assert.throws(() => parseTxtStat(wrong), ParseError);
  }
});

test('events that the heap has are not read again from tboot’s own log beside it', () => {
  const heap = printedAgile(17, 0x404);
  const ofTboot = heap.replaceAll(/^/gm, 'TBOOT: ');
  assert.equal(parseTxtStat(heap + ofTboot).events.length, 1);
  assert.equal(parseTxtStat(ofTboot).events.length, 1);
});

test('text without events, and events that are cut or contradict themselves, are refused with their place', () => {
  assert.throws(
    () => parseTxtStat('TXT measured launch: TRUE\n'),
    (error) => error instanceof BootError,
  );
  const place = (text: string, code: string) =>
    assert.throws(
      () => parseTxtStat(text),
      (error) => error instanceof ParseError && error.code === code,
    );
  place(printed(17, 0x402, SHA1, Buffer.alloc(20)).split('\n').slice(0, -2).join('\n'), 'parse.truncated');
  place(printed(99, 0x402, SHA1), 'parse.invalid');
  place(printed(17, 0x402, SHA1.subarray(1)), 'parse.invalid');
  place(printed(17, 0x402, SHA1).replace('0 bytes', '900000000 bytes'), 'parse.too-large');
});

test('a line of a MiB of blanks costs no more than its length, and more text than a log has is refused', () => {
  assert.throws(() => parseTxtStat(`PCRIndex:\n${' '.repeat(1 << 20)}x\n`), { code: 'boot.not-a-log' });
  assert.throws(() => parseTxtStat('\n'.repeat((8 << 20) + 1)), { code: 'parse.too-large' });
});

test('any text gives a log or a typed error', () => {
  fc.assert(
    fc.property(fc.nat(TEXT.length), fc.string({ maxLength: 8 }), (at, put) => {
      try {
        parseTxtStat(TEXT.slice(0, at) + put + TEXT.slice(at + put.length));
      } catch (error) {
        if (!(error instanceof ParseError || error instanceof BootError)) throw error;
      }
    }),
    { numRuns: 300 },
  );
});
