import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  agileEvent,
  agileLog,
  corpusLogs,
  needsCorpus,
  sha1Log,
  specIdPayload,
  type TestEvent,
} from '../../test/fixtures/boot-logs.ts';
import { AssayError, ParseError } from '../bytes/index.ts';
import { BootError } from './error.ts';
import { parseBootLog } from './parse.ts';
import { digestMatchesPayload, payloadText } from './payload.ts';
import { logBanks, replayBootLog } from './replay.ts';

const SHA256 = 0x000b;
const SPEC_ID = specIdPayload([[SHA256, 32]]);
const SEPARATOR: TestEvent = { pcr: 4, type: 4, digests: [[SHA256, Buffer.alloc(32, 1)]], data: Buffer.from('abcd') };

function throwsParse(bytes: Uint8Array, code: ParseError['code'], offset?: number): void {
  assert.throws(
    () => parseBootLog(bytes),
    (error: unknown) => {
      assert.ok(error instanceof ParseError, String(error));
      assert.equal(error.code, code, error.message);
      if (offset !== undefined) assert.equal(error.offset, offset, error.message);
      return true;
    },
  );
}

function throwsNotALog(bytes: Uint8Array): void {
  assert.throws(
    () => parseBootLog(bytes),
    (error: unknown) => error instanceof BootError && error.code === 'boot.not-a-log',
  );
}

/** Everything that this room computes from a log; total: a value, or a typed error. */
function readEverything(bytes: Uint8Array): void {
  try {
    const log = parseBootLog(bytes);
    replayBootLog(log);
    for (const bank of logBanks(log)) for (const event of log.events) digestMatchesPayload(event, bank);
    log.events.map(payloadText);
  } catch (error) {
    assert.ok(error instanceof AssayError, String(error));
  }
}

test('a tail of zeros or of FF, of any length, ends the log', () => {
  const log = agileLog(SPEC_ID, [SEPARATOR]);
  for (const fill of [0x00, 0xff]) {
    for (const length of [1, 3, 4, 8, 31, 32, 33, 4096, 0x8000]) {
      const parsed = parseBootLog(Buffer.concat([log, Buffer.alloc(length, fill)]));
      assert.equal(parsed.events.length, 2);
      assert.equal(parsed.padding, length);
    }
  }
});

test('a payload that ends in zeros is not taken for padding', () => {
  const log = parseBootLog(agileLog(SPEC_ID, [{ ...SEPARATOR, data: Buffer.alloc(4) }]));
  assert.equal(log.events[1]?.data.length, 4);
  assert.equal(log.padding, 0);
});

test('a Spec ID event is read with vendor info of 20 bytes, with none, and without the size of it', () => {
  const vendor = Buffer.alloc(20, 0x41);
  assert.deepEqual(
    Buffer.from(parseBootLog(agileLog(specIdPayload([[SHA256, 32]], vendor), [SEPARATOR])).specId?.vendorInfo ?? []),
    vendor,
  );
  for (const payload of [SPEC_ID, SPEC_ID.subarray(0, -1)]) {
    assert.equal(parseBootLog(agileLog(payload, [SEPARATOR])).specId?.vendorInfo.length, 0);
  }
});

test('an event size of 3 GB is refused where it stands, in both formats', () => {
  const agile = agileLog(SPEC_ID, [SEPARATOR]);
  agile.writeUInt32LE(0xc0000000, agile.length - 8);
  throwsParse(agile, 'parse.truncated', agile.length - 4);
  const sha1 = sha1Log([SEPARATOR, SEPARATOR]);
  sha1.writeUInt32LE(0xc0000000, sha1.length - 8);
  throwsParse(sha1, 'parse.truncated', sha1.length - 4);
});

test('counts of 0xffffffff are refused where they stand', () => {
  const log = agileLog(SPEC_ID, [SEPARATOR]);
  const algorithmCountAt = 32 + 24;
  log.writeUInt32LE(0xffffffff, algorithmCountAt);
  throwsParse(log, 'parse.too-large', algorithmCountAt);
  const digests = agileLog(SPEC_ID, [SEPARATOR]);
  const digestCountAt = 32 + SPEC_ID.length + 8;
  digests.writeUInt32LE(0xffffffff, digestCountAt);
  throwsParse(digests, 'parse.too-large', digestCountAt);
});

test('a Spec ID event that contradicts itself or the algorithm registry is refused', () => {
  for (const algorithms of [
    [],
    [[SHA256, 20]],
    [[0x7a7a, 0]],
    [[0x7a7a, 129]],
    [
      [SHA256, 32],
      [SHA256, 32],
    ],
  ]) {
    const pairs = algorithms.map(([alg = 0, size = 0]) => [alg, size] as const);
    throwsParse(agileLog(specIdPayload(pairs), [SEPARATOR]), 'parse.invalid');
  }
});

test('a digest of an undeclared algorithm, or two of one, is refused', () => {
  throwsParse(agileLog(SPEC_ID, [{ ...SEPARATOR, digests: [[4, Buffer.alloc(20)]] }]), 'parse.unknown-value');
  const specId = specIdPayload([
    [SHA256, 32],
    [4, 20],
  ]);
  const twice = { ...SEPARATOR, digests: [...SEPARATOR.digests, ...SEPARATOR.digests] };
  throwsParse(agileLog(specId, [twice]), 'parse.invalid');
});

test('a PCR that does not exist is refused, but for the records that are in none', () => {
  throwsParse(agileLog(SPEC_ID, [{ ...SEPARATOR, pcr: 24 }]), 'parse.invalid', 32 + SPEC_ID.length);
  throwsParse(agileLog(SPEC_ID, [{ ...SEPARATOR, pcr: 255 }]), 'parse.invalid');
  assert.equal(parseBootLog(agileLog(SPEC_ID, [{ ...SEPARATOR, pcr: 255, type: 0x401 }])).events.length, 2);
  assert.equal(parseBootLog(agileLog(SPEC_ID, [{ ...SEPARATOR, pcr: 0xffffffff }])).events.length, 2);
});

test('what is no event log is told from one that is broken', () => {
  throwsNotALog(Buffer.alloc(0));
  throwsNotALog(Buffer.alloc(1000));
  throwsNotALog(Buffer.alloc(1000, 0xff));
  throwsNotALog(Buffer.from('10 2e03b3fdb0014fc8bae2a07ca33ae67125b290f3 ima-ng sha256:83d1'));
  throwsNotALog(Buffer.from('{"pcr":11}\n'));
});

test('a log cut at any byte is whole up to an event boundary or refused', () => {
  const first = agileLog(SPEC_ID, []);
  const events = [SEPARATOR, { ...SEPARATOR, data: Buffer.from('x') }, SEPARATOR].map(agileEvent);
  const log = Buffer.concat([first, ...events]);
  const boundaries = new Set(events.map((_, i) => first.length + Buffer.concat(events.slice(0, i)).length));
  for (let length = 0; length < log.length; length++) {
    const cut = log.subarray(0, length);
    if (boundaries.has(length)) parseBootLog(cut);
    else assert.throws(() => parseBootLog(cut), AssayError, `cut at ${length}`);
  }
});

test('any bytes give a log or a typed error', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), readEverything), { numRuns: 300 });
  const withHead = fc.uint8Array({ maxLength: 400 }).map((tail) => Buffer.concat([agileLog(SPEC_ID, []), tail]));
  fc.assert(fc.property(withHead, readEverything), { numRuns: 300 });
});

test('mutated real logs give a log or a typed error', needsCorpus, () => {
  const logs = corpusLogs();
  const mutation = fc.record({
    log: fc.nat(logs.length - 1),
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    bytes: fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 4 }), fc.constant(Uint8Array.of(255, 255, 255, 255))),
    cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  });
  fc.assert(
    fc.property(mutation, ({ log, at, bytes, cut }) => {
      const mutated = Buffer.from(logs[log]?.bytes ?? Buffer.alloc(0));
      mutated.set(bytes.subarray(0, mutated.length), Math.max(0, Math.floor(at * mutated.length) - bytes.length));
      readEverything(cut === null ? mutated : mutated.subarray(0, Math.floor(cut * mutated.length)));
    }),
    { numRuns: 300 },
  );
});
