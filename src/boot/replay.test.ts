import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  agileLog,
  corpusFile,
  corpusLogs,
  needsCorpus,
  sha1Log,
  specIdPayload,
  type TestEvent,
} from '../../test/fixtures/boot-logs.ts';
import { digest } from '../bytes/index.ts';
import { BootError } from './error.ts';
import { EventType } from './event-types.ts';
import { parseBootLog } from './parse.ts';
import { logBanks, replayBootLog, startupLocality } from './replay.ts';

const SHA1 = 0x0004;
const SHA256 = 0x000b;
const SM3 = 0x0012;
const sha256Log = (events: readonly TestEvent[]) => parseBootLog(agileLog(specIdPayload([[SHA256, 32]]), events));
const event = (pcr: number, type: number, text: string, fill: number): TestEvent => ({
  pcr,
  type,
  digests: [[SHA256, Buffer.alloc(32, fill)]],
  data: Buffer.from(text, 'latin1'),
});
const sha256 = (...parts: readonly Uint8Array[]) => digest('sha256', ...parts);

/** PCR 0 at start: all zero but its last byte, the locality (TPM 2.0 Part 1, "H-CRTM before TPM2_Startup"). */
function startOf(locality: number): Buffer {
  const value = Buffer.alloc(32);
  value[31] = locality;
  return value;
}

test('the corpus replays to its published values in every bank', needsCorpus, () => {
  const expected: Record<string, { pcrs: Record<string, Record<string, string>> }> = JSON.parse(
    corpusFile('event-logs/expected.json').toString(),
  );
  const logs = corpusLogs();
  assert.deepEqual(logs.map(({ name }) => name).sort(), Object.keys(expected).sort());
  for (const { name, bytes } of logs) {
    assert.deepEqual(replayBootLog(parseBootLog(bytes)), expected[name]?.pcrs, name);
  }
});

test('StartupLocality 3 and 4 are where PCR 0 begins, in every bank', () => {
  for (const locality of [3, 4] as const) {
    const log = sha256Log([
      event(0, EventType.EV_NO_ACTION, `StartupLocality\0${String.fromCharCode(locality)}`, 0),
      event(0, EventType.EV_S_CRTM_VERSION, 'v', 7),
    ]);
    assert.equal(startupLocality(log), locality);
    assert.equal(replayBootLog(log).sha256?.['0'], sha256(startOf(locality), Buffer.alloc(32, 7)).toString('hex'));
  }
});

test('StartupLocality after an extend of PCR 0, of another PCR, or of a locality that cannot start a TPM is ignored', () => {
  const late = sha256Log([event(0, 8, 'v', 7), event(0, 3, 'StartupLocality\0\x03', 0)]);
  const other = sha256Log([event(1, 3, 'StartupLocality\0\x03', 0), event(0, 8, 'v', 7)]);
  const absurd = sha256Log([event(0, 3, 'StartupLocality\0\xff', 0), event(0, 8, 'v', 7)]);
  for (const log of [late, other, absurd]) {
    assert.equal(replayBootLog(log).sha256?.['0'], sha256(startOf(0), Buffer.alloc(32, 7)).toString('hex'));
  }
});

test('an H-CRTM measurement before Startup makes PCR 0 begin at locality 4', () => {
  const log = sha256Log([event(0, EventType.EV_EFI_HCRTM_EVENT, 'HCRTM', 9), event(0, 8, 'v', 7)]);
  const first = sha256(startOf(4), Buffer.alloc(32, 9));
  assert.equal(replayBootLog(log).sha256?.['0'], sha256(first, Buffer.alloc(32, 7)).toString('hex'));
});

test('EV_NO_ACTION and records in no PCR extend nothing', () => {
  const log = sha256Log([
    event(2, EventType.EV_NO_ACTION, 'SP800-155 Event', 1),
    event(4, EventType.EV_SEPARATOR, '\0\0\0\0', 2),
    event(0xffffffff, EventType.EV_NO_ACTION, 'WBCL', 3),
    event(0xffffffff, EventType.EV_EVENT_TAG, 'WBCL', 3),
  ]);
  assert.equal(log.events.length, 5);
  assert.deepEqual(Object.keys(replayBootLog(log).sha256 ?? {}), ['4']);
});

test('banks are told apart by algorithm, not by place, and one that is unknown is skipped by its declared size', () => {
  const unknown = 0x7a7a;
  const log = parseBootLog(
    agileLog(
      specIdPayload([
        [SHA256, 32],
        [unknown, 40],
        [SM3, 32],
        [SHA1, 20],
      ]),
      [
        {
          pcr: 5,
          type: EventType.EV_SEPARATOR,
          digests: [
            [SHA1, Buffer.alloc(20, 1)],
            [unknown, Buffer.alloc(40, 2)],
            [SM3, Buffer.alloc(32, 3)],
            [SHA256, Buffer.alloc(32, 4)],
          ],
          data: Buffer.alloc(4),
        },
      ],
    ),
  );
  assert.deepEqual(logBanks(log), ['sha256', 'sm3', 'sha1']);
  assert.deepEqual(
    log.events[1]?.digests.map(({ algorithm }) => algorithm),
    ['sha1', undefined, 'sm3', 'sha256'],
  );
  assert.deepEqual(replayBootLog(log), {
    sha256: { 5: sha256(Buffer.alloc(32), Buffer.alloc(32, 4)).toString('hex') },
    sm3: { 5: digest('sm3', Buffer.alloc(32), Buffer.alloc(32, 3)).toString('hex') },
    sha1: { 5: digest('sha1', Buffer.alloc(20), Buffer.alloc(20, 1)).toString('hex') },
  });
});

test('an event without a digest in a bank does not extend that bank', () => {
  const specId = specIdPayload([
    [SHA1, 20],
    [SHA256, 32],
  ]);
  const log = parseBootLog(agileLog(specId, [event(4, EventType.EV_SEPARATOR, '\0\0\0\0', 2)]));
  assert.deepEqual(Object.keys(replayBootLog(log)), ['sha256']);
});

test('the SHA-1 format replays its one bank, and another one asked for is refused', () => {
  const log = parseBootLog(
    sha1Log([{ pcr: 7, type: EventType.EV_SEPARATOR, digests: [[SHA1, Buffer.alloc(20, 5)]], data: Buffer.alloc(4) }]),
  );
  assert.equal(log.format, 'sha1');
  assert.deepEqual(replayBootLog(log), {
    sha1: { 7: digest('sha1', Buffer.alloc(20), Buffer.alloc(20, 5)).toString('hex') },
  });
  assert.throws(
    () => replayBootLog(log, ['sha256']),
    (error: unknown) => error instanceof BootError && error.code === 'boot.no-such-bank',
  );
});
