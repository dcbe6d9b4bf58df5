import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agileLog, corpusLogs, needsCorpus, specIdPayload, type TestEvent } from '../../test/fixtures/boot-logs.ts';
import { ByteWriter, digest } from '../bytes/index.ts';
import { parseBootLog } from './parse.ts';
import { logBanks, replayBootLog } from './replay.ts';
import { bootState } from './state.ts';

const SHA256 = 0x000b;
const GLOBAL = Buffer.from('61dfe48bca93d211aa0d00e098032b8c', 'hex');
const DATABASE = Buffer.from('cbb219d73a3d9645a3bcdad00e67656f', 'hex');
const DRIVER_CONFIG = 0x80000001;
const AUTHORITY = 0x800000e0;
const event = (pcr: number, type: number, data: Buffer, measured: Buffer = data): TestEvent => ({
  pcr,
  type,
  digests: [[SHA256, digest('sha256', measured)]],
  data,
});
function variable(name: string, data: Buffer, vendor = /^dbx?$/.test(name) ? DATABASE : GLOBAL): Buffer {
  const writer = new ByteWriter().bytes(vendor).u64le(BigInt(name.length)).u64le(BigInt(data.length));
  return Buffer.from(writer.bytes(Buffer.from(name, 'utf16le')).bytes(data).finish());
}
const config = (name: string, data = Buffer.alloc(0)) => event(7, DRIVER_CONFIG, variable(name, data));
const separator = (pcr: number) => event(pcr, 4, Buffer.alloc(4));
/** A list of one hash of an image; and one of them, as it accepts one. */
const SIGNATURE = Buffer.alloc(48, 0xaa);
const LIST = new ByteWriter()
  .bytes(Buffer.from('2616c4c14c509240aca941f936934328', 'hex'))
  .u32le(28 + 48)
  .u32le(0)
  .u32le(48);
const KEY_DATA = Buffer.from(LIST.bytes(SIGNATURE).finish());
const KEYS = ['PK', 'KEK', 'db', 'dbx'].map((name) => config(name, KEY_DATA));
const START = [config('SecureBoot', Buffer.of(1)), ...KEYS];
const OFF = [config('SecureBoot', Buffer.of(0)), ...KEYS];
const accepted = event(7, AUTHORITY, variable('db', SIGNATURE));
const logOf = (...events: readonly TestEvent[]) => parseBootLog(agileLog(specIdPayload([[SHA256, 32]]), events));
const secureBoot = (...events: readonly TestEvent[]) => bootState(logOf(...events), 'sha256').secureBoot;

test('Secure Boot is on or off as its variable was measured, and the event is named', () => {
  const on = { state: 'on', why: 'event 1 of PCR 7 measured SecureBoot=1' };
  assert.deepEqual(secureBoot(...START, separator(7), accepted), on);
  assert.deepEqual(secureBoot(...START, accepted, separator(7)), on, 'a driver was accepted before the separator');
  assert.equal(secureBoot(...OFF, separator(7)).state, 'off');
  const none = ['PK', 'KEK', 'db', 'dbx'].map((name) => config(name));
  assert.equal(secureBoot(config('SecureBoot', Buffer.of(0)), ...none, separator(7)).state, 'off');
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
  ['an empty SecureBoot', [config('SecureBoot'), ...KEYS, separator(7)], /had no such variable/],
  ['it on, and no key that accepted anything', [...START, separator(7)], /no key accepted anything/],
  ...['PK', 'KEK', 'db'].map(
    (name) =>
      [
        `it on, and an empty ${name}`,
        [
          ...START.filter((_, i) => ['SecureBoot', 'PK', 'KEK', 'db', 'dbx'][i] !== name),
          config(name),
          separator(7),
          accepted,
        ],
        new RegExp(`an empty ${name}`),
      ] as const,
  ),
  [
    'a list of keys that is cut off',
    [...START.slice(0, -1), config('dbx', KEY_DATA.subarray(0, 60)), separator(7), accepted],
    /dbx: signature list/,
  ],
  [
    'a variable of that name of another vendor',
    [event(7, DRIVER_CONFIG, variable('SecureBoot', Buffer.of(0), DATABASE)), ...KEYS, separator(7)],
    /which is another variable/,
  ],
  ['an error for a separator', [...OFF, event(7, 4, Buffer.from([1, 0, 0, 0]))], /a separator that is none/],
  ['ones for a separator', [...OFF, event(7, 4, Buffer.alloc(4, 0xff))], /a separator that is none/],
  ['a separator that was not measured', [...OFF, event(7, 4, Buffer.alloc(4), Buffer.from('x'))], /digest is not over/],
  [
    'an action',
    [...OFF, event(7, 0x80000007, Buffer.from('Exit Boot Services Invocation')), separator(7)],
    /an action/,
  ],
  [
    'a debugger',
    [...START, event(7, 0x80000007, Buffer.from('UEFI Debug Mode')), separator(7), accepted],
    /a firmware debugger was there/,
  ],
  [
    'an authority that the digest is not over, whatever it is called',
    [...START, separator(7), accepted, event(7, AUTHORITY, variable('MokListRT', SIGNATURE), Buffer.from('x'))],
    /digest is not over MokListRT/,
  ],
  [
    'an authority of no form',
    [...START, separator(7), accepted, event(7, AUTHORITY, variable('db', Buffer.alloc(4)))],
    /no form of an authority/,
  ],
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
  const log = logOf(...START, separator(7), accepted, line);
  const values = replayBootLog(log).sha256 ?? {};
  const proven = bootState(log, 'sha256', values);
  assert.deepEqual([proven.secureBoot.state, proven.commandLine, proven.leftOut], ['on', ['ro quiet'], []]);
  assert.deepEqual(proven.provenPcrs, [7, 12]);
  const other = bootState(log, 'sha256', { ...values, 12: '00'.repeat(32) });
  assert.deepEqual(other.commandLine, []);
  assert.deepEqual(other.leftOut, [
    { code: 'contradicted', index: undefined, pcr: 12, reason: 'the log does not replay to its value' },
  ]);
  const unproven = bootState(log, 'sha256', { 12: values['12'] ?? '' });
  assert.deepEqual([unproven.secureBoot.state, unproven.commandLine], ['unknown', ['ro quiet']]);
  assert.equal(bootState(log, 'sha256').provenPcrs, undefined);
});

test('a PCR of which the log leaves out every event is told', () => {
  const log = logOf(...START, separator(7), accepted);
  const values = { ...replayBootLog(log).sha256, 8: '12'.repeat(32), 9: '00'.repeat(32), 10: '34'.repeat(32) };
  const { leftOut } = bootState(log, 'sha256', values);
  assert.deepEqual(leftOut, [
    { code: 'untold', index: undefined, pcr: 8, reason: 'it was extended, and the log says nothing of it' },
  ]);
});

test('a PCR that systemd extended further is proven by its records, or by phases that it writes into no log', () => {
  const log = logOf(event(11, 0x0d, Buffer.from('.linux\0')));
  const start = Buffer.from(replayBootLog(log).sha256?.['11'] ?? '', 'hex');
  const phase = digest('sha256', start, digest('sha256', Buffer.from('enter-initrd')));
  assert.deepEqual(bootState(log, 'sha256', { 11: phase.toString('hex') }).provenPcrs, [11]);
  const measured = digest('sha256', Buffer.from('other'));
  const held = { 11: digest('sha256', start, measured).toString('hex') };
  assert.deepEqual(bootState(log, 'sha256', held).provenPcrs, []);
  const record = { index: 0, offset: 0, pcr: 11, contentType: 'systemd', text: undefined, eventType: undefined };
  const userspace = [{ ...record, digests: [{ algorithm: 'sha256', value: measured }] }] as const;
  const proven = bootState(log, 'sha256', held, userspace);
  assert.deepEqual([proven.provenPcrs, proven.leftOut], [[11], []]);
});

/** Root relabels what was measured and, where it may still extend, adds what looks better. */
const GOOD = Buffer.from('/vmlinuz ro lockdown=confidentiality');
const line = (text: string) => event(8, 0x0d, Buffer.from(`kernel_cmdline: ${text}\0`), Buffer.from(text));
const appended = line(GOOD.toString());
const TYPES = [
  0x01,
  0x03 + 0x07,
  0x05,
  0x06,
  0x0c,
  0x0d,
  0x0f,
  0x12,
  0x77,
  0x80000002,
  0x80000007,
  0x80000008,
  0x8000000a,
];
for (const type of TYPES) {
  for (const [what, words] of [
    ['words', 'abc'],
    ['a command', 'grub_cmd: echo hi\0'],
    ['nothing', ''],
  ] as const) {
    test(`a command line or a loader that is called type 0x${type.toString(16)} with ${what} is not lost`, () => {
      const measured = (pcr: number) => event(pcr, type, Buffer.from(words), Buffer.from('what was there'));
      for (const pcr of [4, 8]) {
        const { leftOut } = bootState(logOf(measured(pcr), appended), 'sha256');
        const shown = leftOut.map(({ code, index }) => [code, index]);
        assert.deepEqual(shown, [['unexplained', 1]], `PCR ${pcr}`);
      }
    });
  }
}

test('a kernel that is called a font is listed by its digest', () => {
  const kernel = event(9, 0x0d, Buffer.from('(hd0,gpt1)/font.pf2\0'), Buffer.from('kernel'));
  const other = event(9, 0x0d, Buffer.from('(hd0,gpt1)/vmlinuz\0'), Buffer.from('other'));
  const found = bootState(logOf(kernel, other), 'sha256');
  assert.deepEqual(
    [found.files, found.kernel].map((files) => files.map(({ digest: measured }) => measured)),
    [
      [digest('sha256', Buffer.from('kernel')).toString('hex')],
      [digest('sha256', Buffer.from('other')).toString('hex')],
    ],
  );
});

test('a command line that is called a command is listed beside the one that was added', () => {
  const hidden = event(8, 0x0d, Buffer.from('grub_cmd: /vmlinuz rw\0'), Buffer.from('/vmlinuz rw'));
  const found = bootState(logOf(hidden, appended), 'sha256');
  assert.deepEqual([found.commands, found.commandLine], [['/vmlinuz rw'], [GOOD.toString()]]);
});

test('that shim does not verify is told beside Secure Boot', () => {
  const SHIM = Buffer.from('50ab5d6046e00043abb63dd810dd8b23', 'hex');
  const inPcr7 = (value: number) => event(7, AUTHORITY, variable('MokSBState', Buffer.of(value), SHIM));
  const inPcr14 = (value: number) => event(14, 0x0d, Buffer.from('MokSBState\0'), Buffer.of(value));
  const isOff = (...more: readonly TestEvent[]) =>
    bootState(logOf(...START, separator(7), accepted, ...more), 'sha256').debug.shimValidationDisabled;
  assert.deepEqual([isOff(inPcr7(1)), isOff(inPcr14(1)), isOff(inPcr7(1), inPcr14(1))], [true, true, true]);
  assert.deepEqual([isOff(), isOff(inPcr7(0), inPcr14(0))], [false, false]);
});

test('a debugger and switched-off protection against DMA are told', () => {
  const action = (text: string) => event(7, 0x80000007, Buffer.from(text));
  const dma = action('DMA Protection Disabled');
  const { debug, secureBoot: state } = bootState(logOf(...START, dma, separator(7), accepted), 'sha256');
  assert.deepEqual(debug, { firmwareDebugger: false, dmaProtectionDisabled: true, shimValidationDisabled: false });
  assert.equal(state.state, 'on');
  const debugged = bootState(logOf(...START, action('UEFI Debug Mode'), separator(7), accepted), 'sha256');
  assert.deepEqual([debugged.debug.firmwareDebugger, debugged.secureBoot.state], [true, 'unknown']);
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
