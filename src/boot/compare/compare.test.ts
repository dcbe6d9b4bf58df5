import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { agileLog, corpusLogs, needsCorpus, specIdPayload, type TestEvent } from '../../../test/fixtures/boot-logs.ts';
import { bootChangesPage } from '../../../tools/boot-changes-doc.ts';
import { digest } from '../../bytes/index.ts';
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
