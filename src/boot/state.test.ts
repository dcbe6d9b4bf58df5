import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agileLog, corpusLogs, needsCorpus, specIdPayload, type TestEvent } from '../../test/fixtures/boot-logs.ts';
import { ByteWriter, digest } from '../bytes/index.ts';
import { parseBootLog } from './parse.ts';
import { logBanks, replayBootLog } from './replay.ts';
import { bootState } from './state.ts';

const SHA256 = 0x000b;
const GLOBAL = Buffer.from('61dfe48bca93d211aa0d00e098032b8c', 'hex');
const DRIVER_CONFIG = 0x80000001;
const event = (pcr: number, type: number, data: Buffer, measured: Buffer = data): TestEvent => ({
  pcr,
  type,
  digests: [[SHA256, digest('sha256', measured)]],
  data,
});
function variable(name: string, data: Buffer): Buffer {
  const writer = new ByteWriter().bytes(GLOBAL).u64le(BigInt(name.length)).u64le(BigInt(data.length));
  return Buffer.from(writer.bytes(Buffer.from(name, 'utf16le')).bytes(data).finish());
}
const config = (name: string, data = Buffer.alloc(0)) => event(7, DRIVER_CONFIG, variable(name, data));
const separator = (pcr: number) => event(pcr, 4, Buffer.alloc(4));
const KEYS = ['PK', 'KEK', 'db', 'dbx'].map((name) => config(name));
const START = [config('SecureBoot', Buffer.of(1)), ...KEYS];
const logOf = (...events: readonly TestEvent[]) => parseBootLog(agileLog(specIdPayload([[SHA256, 32]]), events));
const secureBoot = (...events: readonly TestEvent[]) => bootState(logOf(...events), 'sha256').secureBoot;

test('Secure Boot is on or off as its variable was measured, and the event is named', () => {
  assert.deepEqual(secureBoot(...START, separator(7)), { state: 'on', why: 'event 1 of PCR 7 measured SecureBoot=1' });
  assert.equal(secureBoot(config('SecureBoot', Buffer.of(0)), ...KEYS, separator(7)).state, 'off');
});

/** What go-attestation refuses (attest/secureboot.go), each leaves the state unknown. */
const STRANGE: readonly (readonly [what: string, events: readonly TestEvent[], why: RegExp])[] = [
  ['no event', [], /nothing was measured/],
  ['no separator', START, /0 separators/],
  ['two separators', [...START, separator(7), separator(7)], /2 separators/],
  ['no SecureBoot', [...KEYS, separator(7)], /SecureBoot was not measured/],
  ['no dbx', [...START.slice(0, -1), separator(7)], /dbx was not measured/],
  ['a second SecureBoot', [...START, config('SecureBoot', Buffer.of(0)), separator(7)], /measured twice/],
  [
    'SecureBoot after the separator',
    [...KEYS, separator(7), config('SecureBoot', Buffer.of(1))],
    /after the separator/,
  ],
  [
    'a payload that the digest is not over',
    [event(7, DRIVER_CONFIG, variable('SecureBoot', Buffer.of(1)), Buffer.from('else')), ...KEYS, separator(7)],
    /digest is not over SecureBoot/,
  ],
  [
    'an event that does not belong there',
    [...START, event(7, 0x0d, Buffer.from('x')), separator(7)],
    /does not belong/,
  ],
  ['SecureBoot that is no boolean', [config('SecureBoot', Buffer.of(2)), ...KEYS, separator(7)], /no byte 0 or 1/],
];
for (const [what, events, why] of STRANGE) {
  test(`Secure Boot is unknown with ${what}`, () => {
    const found = secureBoot(...events);
    assert.equal(found.state, 'unknown');
    assert.match(found.why, why);
  });
}

test('only what the given PCR values prove is told', () => {
  const line = event(12, 0x0d, Buffer.from('ro quiet\0', 'utf16le'));
  const log = logOf(...START, separator(7), line);
  const values = replayBootLog(log).sha256 ?? {};
  const proven = bootState(log, 'sha256', values);
  assert.deepEqual([proven.secureBoot.state, proven.commandLine, proven.leftOut], ['on', ['ro quiet'], []]);
  assert.deepEqual(proven.provenPcrs, [7, 12]);
  const other = bootState(log, 'sha256', { ...values, 12: '00'.repeat(32) });
  assert.deepEqual(other.commandLine, []);
  assert.deepEqual(other.leftOut, [{ index: undefined, pcr: 12, reason: 'the log does not replay to its value' }]);
  const unproven = bootState(log, 'sha256', { 12: values['12'] ?? '' });
  assert.deepEqual([unproven.secureBoot.state, unproven.commandLine], ['unknown', ['ro quiet']]);
  assert.equal(bootState(log, 'sha256').provenPcrs, undefined);
});

test('a debugger and switched-off protection against DMA are told', () => {
  const action = (text: string) => event(7, 0x80000007, Buffer.from(text));
  const log = logOf(...START, action('UEFI Debug Mode'), action('DMA Protection Disabled'), separator(7));
  const { debug, secureBoot: state } = bootState(log, 'sha256');
  assert.deepEqual(debug, { firmwareDebugger: true, dmaProtectionDisabled: true });
  assert.equal(state.state, 'on');
});

test('real logs: a state or a reason, and with their own replay nothing is unproven', needsCorpus, () => {
  const states = new Map(
    corpusLogs().flatMap(({ name, bytes }) => {
      const log = parseBootLog(bytes);
      return logBanks(log).map((bank) => {
        const state = bootState(log, bank, replayBootLog(log, [bank])[bank]);
        assert.ok(
          state.leftOut.every(({ index }) => index !== undefined),
          name,
        );
        assert.ok(state.secureBoot.why.length > 0, name);
        return [`${name} ${bank}`, state.secureBoot] as const;
      });
    }),
  );
  assert.ok(
    [...states.values()].some(({ state }) => state === 'on'),
    JSON.stringify([...states]),
  );
  assert.ok(
    [...states.values()].some(({ state }) => state === 'off'),
    JSON.stringify([...states]),
  );
});
