import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { agileLog, corpusLogs, needsCorpus, specIdPayload, type TestEvent } from '../../../test/fixtures/boot-logs.ts';
import { bootChangesPage } from '../../../tools/boot-changes-doc.ts';
import { ByteWriter, digest } from '../../bytes/index.ts';
import { parseBootLog } from '../parse.ts';
import { replayBootLog } from '../replay.ts';
import { type BootChange, compareBoots } from './compare.ts';

const SHA256 = 0x000b;
const event = (pcr: number, type: number, data: Buffer, measured: Buffer = data): TestEvent => ({
  pcr,
  type,
  digests: [[SHA256, digest('sha256', measured)]],
  data,
});
const logOf = (...events: readonly TestEvent[]) => parseBootLog(agileLog(specIdPayload([[SHA256, 32]]), events));
const IPL = 0x0d;
const ipl = (pcr: number, text: string, measured: string) =>
  event(pcr, IPL, Buffer.from(`${text}\0`), Buffer.from(measured));
const line = (words: string) => event(12, IPL, Buffer.from(`${words}\0`, 'utf16le'));
const action = (pcr: number, text: string) => event(pcr, 0x80000007, Buffer.from(text));
const told = (changes: readonly BootChange[]) => changes.map(({ code, from, to }) => [code, from, to]);

test('the same boot differs in nothing', () => {
  const log = logOf(line('quiet'), ipl(9, '/vmlinuz', 'kernel'), action(5, 'Exit Boot Services Invocation'));
  assert.deepEqual(compareBoots(log, log), []);
});

test('words that were added to a command line are told, also where two programs measured it', () => {
  const [before, after] = [
    logOf(line('ro quiet'), line('ro quiet')),
    logOf(line('ro init=/bin/sh'), line('ro init=/bin/sh')),
  ];
  const [change, ...more] = compareBoots(before, after);
  assert.deepEqual(more, []);
  assert.equal(change?.code, 'boot.command-line-changed');
  assert.deepEqual([change?.from, change?.to, change?.pcrs], [['quiet'], ['init=/bin/sh'], [12]]);
  assert.match(change?.message ?? '', /gone: quiet; new: init=\/bin\/sh$/);
});

test('what is measured once less is no other command line', () => {
  const [change] = compareBoots(logOf(line('quiet'), line('quiet')), logOf(line('quiet')));
  assert.equal(change?.code, 'boot.measured-again');
});

test('kernel, initrd and GRUB’s own files are told apart by their paths, equal names by their digests', () => {
  const boot = (kernel: string, initrd: string, font: string) =>
    logOf(ipl(9, '/vmlinuz-6.1', kernel), ipl(9, '/initrd.img-6.1', initrd), ipl(9, '(hd0)/grub/unicode.pf2', font));
  const codes = (...args: readonly [string, string, string]) =>
    compareBoots(boot('k', 'i', 'f'), boot(...args)).map(({ code }) => code);
  assert.deepEqual(codes('K', 'i', 'f'), ['boot.kernel-changed']);
  assert.deepEqual(codes('k', 'I', 'f'), ['boot.initrd-changed']);
  assert.deepEqual(codes('k', 'i', 'F'), ['boot.grub-file-changed']);
  const [change] = compareBoots(boot('k', 'i', 'f'), boot('K', 'i', 'f'));
  assert.match(change?.to[0] ?? '', /^\/vmlinuz-6\.1 \([0-9a-f]{16}…\)$/);
});

test('where any PCR differs something is told of it, and only there', () => {
  const events = fc.oneof(
    fc.record({
      pcr: fc.nat(23),
      type: fc.constantFrom(4, 5, 0x0d, 6, 0x502),
      text: fc.constantFrom('a', '/vmlinuz', '.linux'),
    }),
    fc.record({
      pcr: fc.constantFrom(0, 4, 5),
      type: fc.constantFrom(0x80000007),
      text: fc.constantFrom('UEFI Debug Mode', 'Exit Boot Services Invocation'),
    }),
  );
  const logs = fc
    .array(events, { maxLength: 5 })
    .map((all) => all.map(({ pcr, type, text }) => event(pcr, type, Buffer.from(text))));
  fc.assert(
    fc.property(logs, logs, fc.boolean(), (one, other, isReversed) => {
      const [before, after] = [logOf(...one), logOf(...(isReversed ? one.toReversed() : other))];
      const [a, b] = [before, after].map((log) => replayBootLog(log, ['sha256']).sha256 ?? {});
      const differing = Array.from({ length: 24 }, (_, pcr) => pcr).filter((pcr) => a?.[pcr] !== b?.[pcr]);
      const toldPcrs = new Set(compareBoots(before, after, 'sha256').flatMap(({ pcrs }) => pcrs));
      for (const pcr of differing) assert.ok(toldPcrs.has(pcr), `PCR ${pcr}`);
      if (differing.length === 0) assert.equal(toldPcrs.size, 0);
    }),
    { numRuns: 300 },
  );
});

test('a log of very many components is compared all the same', () => {
  const many = logOf(...Array.from({ length: 50_000 }, (_, i) => ipl(11, `.s${i}`, `${i}`)));
  const [change, ...others] = compareBoots(logOf(), many);
  assert.deepEqual(others, []);
  assert.equal(change?.to.length, 50_000);
});

test('a separator that reports an error is told', () => {
  const log = (data: Buffer) => logOf(event(4, 4, data));
  const [change] = compareBoots(log(Buffer.alloc(4)), log(Buffer.from([1, 0, 0, 0])));
  assert.deepEqual([change?.code, change?.pcrs], ['boot.other-changed', [4]]);
});

const VENDORS = { global: '61dfe48bca93d211aa0d00e098032b8c', database: 'cbb219d73a3d9645a3bcdad00e67656f' } as const;
const DRIVER_CONFIG = 0x80000001;
const AUTHORITY = 0x800000e0;
function variable(pcr: number, name: string, data: Buffer, { type = DRIVER_CONFIG, measured = data } = {}) {
  const vendor = Buffer.from(name.startsWith('db') ? VENDORS.database : VENDORS.global, 'hex');
  const payload = (value: Buffer): Buffer => {
    const writer = new ByteWriter().bytes(vendor).u64le(BigInt(name.length)).u64le(BigInt(value.length));
    return Buffer.from(writer.bytes(Buffer.from(name, 'utf16le')).bytes(value).finish());
  };
  return event(pcr, type, payload(data), payload(measured));
}
/** An EFI_SIGNATURE_LIST of SHA-256 hashes. */
function hashes(...fills: readonly number[]): Buffer {
  const type = Buffer.from('2616c4c14c509240aca941f936934328', 'hex');
  const writer = new ByteWriter()
    .bytes(type)
    .u32le(28 + fills.length * 48)
    .u32le(0)
    .u32le(48);
  for (const fill of fills) writer.bytes(Buffer.concat([Buffer.alloc(16), Buffer.alloc(32, fill)]));
  return Buffer.from(writer.finish());
}
const severities = (changes: readonly BootChange[]) => changes.map(({ code, severity }) => [code, severity]);

test('another firmware is told by its version, and where that is the same by what else it measured', () => {
  const boot = (version: string, code: string) => {
    const blob = Buffer.from(new ByteWriter().u64le(0x1000n).u64le(32n).finish());
    return logOf(event(0, 8, Buffer.from(`${version}\0`, 'utf16le')), event(0, 0x80000008, blob, Buffer.from(code)));
  };
  const updated = compareBoots(boot('1.0', 'a'), boot('1.1', 'b'));
  assert.deepEqual(told(updated), [['boot.firmware-changed', ["version '1.0'"], ["version '1.1'"]]]);
  const [patched] = compareBoots(boot('1.0', 'a'), boot('1.0', 'b'));
  assert.match(patched?.to[0] ?? '', /^firmware: 32 bytes at 0x1000 \([0-9a-f]{16}…\)$/);
});

test('revocations that came are an update; ones that went, or that nobody can see, are an alarm', () => {
  const dbx = (data: Buffer, measured = data) => logOf(variable(7, 'dbx', data, { measured }));
  const came = compareBoots(dbx(hashes(1)), dbx(hashes(1, 2)));
  assert.deepEqual(severities(came), [['boot.dbx-updated', 'info']]);
  assert.deepEqual(came[0]?.to, ['02'.repeat(32)]);
  assert.deepEqual(severities(compareBoots(dbx(hashes(1, 2)), dbx(hashes(2)))), [['boot.dbx-updated', 'alarm']]);
  assert.deepEqual(severities(compareBoots(dbx(hashes(1)), dbx(Buffer.alloc(0)))), [['boot.dbx-updated', 'alarm']]);
  const lie = compareBoots(dbx(hashes(1)), dbx(hashes(1, 2), Buffer.alloc(0)));
  assert.deepEqual(severities(lie), [['boot.dbx-updated', 'alarm']], 'the payload shows more than was measured');
  assert.doesNotMatch(lie[0]?.message ?? '', /0202/);
});

test('an older level of SBAT is an alarm, a newer one an update', () => {
  const level = (date: string) =>
    logOf(variable(7, 'SbatLevel', Buffer.from(`sbat,1,${date}\nshim,2\n`), { type: AUTHORITY }));
  const newer = compareBoots(level('2022052400'), level('2023012900'));
  assert.deepEqual(severities(newer), [['boot.dbx-updated', 'info']]);
  assert.deepEqual([newer[0]?.from, newer[0]?.to], [['SBAT level 2022052400'], ['SBAT level 2023012900']]);
  assert.deepEqual(severities(compareBoots(level('2023012900'), level('2022052400'))), [['boot.dbx-updated', 'alarm']]);
});

test('what a payload shows is told only where it was measured: Secure Boot, boot order, who vouched', () => {
  const off = logOf(variable(7, 'SecureBoot', Buffer.of(1)));
  const lie = logOf(variable(7, 'SecureBoot', Buffer.of(1), { measured: Buffer.of(0) }));
  const [switched] = compareBoots(off, lie);
  assert.equal(switched?.code, 'boot.secure-boot-switched');
  assert.match(switched?.to[0] ?? '', /^SecureBoot \([0-9a-f]{16}…\)$/);
  const order = (numbers: readonly number[], measured = numbers) => {
    const bytes = (all: readonly number[]) => Buffer.from(all.flatMap((one) => [one, 0]));
    return logOf(variable(1, 'BootOrder', bytes(numbers), { type: 0x80000002, measured: bytes(measured) }));
  };
  assert.deepEqual(compareBoots(order([1, 2]), order([2, 1]))[0]?.to, ['Boot0002, Boot0001']);
  assert.match(compareBoots(order([1, 2]), order([1, 2], [2, 1]))[0]?.to[0] ?? '', /^BootOrder \(/);
  const signature = Buffer.alloc(48, 7);
  const by = (measured?: Buffer) =>
    logOf(
      event(4, 0x80000003, Buffer.alloc(32), Buffer.from('loader')),
      variable(7, 'db', signature, { type: AUTHORITY, ...(measured === undefined ? {} : { measured }) }),
    );
  const started = (log: ReturnType<typeof by>) =>
    compareBoots(logOf(), log).find(({ code }) => code === 'boot.authority-changed');
  assert.deepEqual(started(by())?.to, ['07'.repeat(32)]);
  assert.deepEqual(started(by())?.inWhoseName, ['07'.repeat(32)]);
  const unvouched = started(by(Buffer.from('x')));
  assert.deepEqual(unvouched?.inWhoseName, []);
  assert.match(unvouched?.to[0] ?? '', /^an authority of db \(/);
});

test('a missing ExitBootServices is told, and one that came too', () => {
  const [ended, not] = [logOf(line('a'), action(5, 'Exit Boot Services Invocation')), logOf(line('a'))];
  assert.deepEqual(told(compareBoots(ended, not)), [
    ['boot.exit-boot-services-missing', ['Exit Boot Services Invocation'], []],
  ]);
  assert.deepEqual(
    compareBoots(not, ended).map(({ code, severity }) => [code, severity]),
    [['boot.exit-boot-services-missing', 'info']],
  );
});

test('a debugger is an alarm and stands first; its absence is none', () => {
  const [with_, without] = [logOf(line('b'), action(7, 'UEFI Debug Mode')), logOf(line('a'))];
  assert.deepEqual(
    compareBoots(without, with_).map(({ code, severity }) => [code, severity]),
    [
      ['boot.debugger', 'alarm'],
      ['boot.command-line-changed', 'warning'],
    ],
  );
  assert.equal(compareBoots(with_, without).find(({ code }) => code === 'boot.debugger')?.severity, 'info');
});

test('a dynamic launch that measured something else is named by its component', () => {
  const launch = (content: string) => logOf(event(17, 0x502, Buffer.from('Measured Kernel'), Buffer.from(content)));
  const [change, ...more] = compareBoots(launch('one'), launch('other'));
  assert.deepEqual(more, []);
  assert.equal(change?.code, 'boot.launch-changed');
  assert.deepEqual(change?.pcrs, [17]);
});

test('logs without a common bank are refused', () => {
  const sha384 = parseBootLog(agileLog(specIdPayload([[0x000c, 48]]), []));
  assert.throws(() => compareBoots(logOf(), sha384), { code: 'boot.no-such-bank' });
});

test('real logs: each is equal to itself, and without one of its extended events it is not', needsCorpus, () => {
  for (const { name, bytes } of corpusLogs()) {
    const log = parseBootLog(bytes);
    assert.deepEqual(compareBoots(log, log), [], name);
    const at = log.events.findLastIndex(({ pcr, type }) => pcr <= 4 && type !== 3 && type !== 4);
    if (at < 0) continue;
    assert.notDeepEqual(compareBoots(log, { ...log, events: log.events.filter((_, i) => i !== at) }), [], name);
  }
});

test('docs/BOOT-CHANGES.md is what the table says', () => {
  const page = readFileSync(new URL('../../../docs/BOOT-CHANGES.md', import.meta.url), 'utf8');
  assert.equal(page, bootChangesPage(), 'run: node tools/boot-changes-doc.ts > docs/BOOT-CHANGES.md');
});
