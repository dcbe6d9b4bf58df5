import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agileLog, specIdPayload, type TestEvent } from '../../../test/fixtures/boot-logs.ts';
import { parseBootLog } from '../../boot/index.ts';
import { digest } from '../../bytes/index.ts';
import { changesFromReference, comparableBank } from './changes.ts';
import { BootMerger, mergeBoots } from './merge.ts';

const BANKS = [
  [0x0b, 'sha256', 32],
  [0x0d, 'sha512', 64],
] as const;
const event = (pcr: number, type: number, data: Buffer, measured: Buffer = data): TestEvent => ({
  pcr,
  type,
  digests: BANKS.map(([id, bank]) => [id, digest(bank, measured)] as const),
  data,
});
const logOf = (...events: readonly TestEvent[]) =>
  parseBootLog(agileLog(specIdPayload(BANKS.map(([id, , size]) => [id, size])), events));
const image = (content: string) => event(4, 0x80000003, Buffer.alloc(32), Buffer.from(content));
const version = (text: string) => event(0, 8, Buffer.from(`${text}\0`, 'utf16le'));
const line = (words: string) => event(12, 0x0d, Buffer.from(`${words}\0`, 'utf16le'));
const initrd = (content: string) =>
  event(9, 6, Buffer.from('ec223b8f0d0000004c696e757820696e6974726400', 'hex'), Buffer.from(content));
const exit = event(5, 0x80000007, Buffer.from('Exit Boot Services Invocation'));
const boot = (changed: Partial<Record<'firmware' | 'kernel' | 'line' | 'initrd', string>> = {}, ...more: TestEvent[]) =>
  logOf(
    version(changed.firmware ?? '1.0'),
    image('loader'),
    image(changed.kernel ?? 'kernel'),
    line(changed.line ?? 'ro'),
    initrd(changed.initrd ?? 'initrd'),
    ...more,
  );
const approved = mergeBoots([boot({}, exit)]);
const changes = (log: ReturnType<typeof logOf>, reference = approved) => changesFromReference(reference, log, 'sha256');

test('an approved boot differs in nothing', () => {
  assert.deepEqual(changes(boot({}, exit)), []);
});

test('what is no variant is named as what it is, from what to what', () => {
  const told = changes(boot({ firmware: '1.1', kernel: 'other', line: 'ro single', initrd: 'new' }, exit));
  assert.deepEqual(
    told.map(({ code, pcrs }) => [code, pcrs]),
    [
      ['boot.firmware-changed', [0]],
      ['boot.kernel-changed', [4]],
      ['boot.command-line-changed', [12]],
      ['boot.initrd-changed', [9]],
    ],
  );
  assert.deepEqual([told[0]?.from, told[0]?.to], [['1.0'], ["version '1.1'"]]);
  assert.deepEqual([told[2]?.from, told[2]?.to], [['ro'], ['ro single']]);
  assert.match(told[3]?.to[0] ?? '', /^initrd \([0-9a-f]{16}…\)$/);
  assert.ok(
    told.every(({ severity }) => severity !== 'info'),
    'nobody has approved it',
  );
});

test('a missing ExitBootServices is named, and what came in addition', () => {
  assert.deepEqual(
    changes(boot()).map(({ code, message }) => [code, message.split('; ').at(-1)]),
    [['boot.exit-boot-services-missing', "component 'boot actions (PCR 5)' was not measured"]],
  );
  const rom = event(2, 0x80000004, Buffer.alloc(32), Buffer.from('rom'));
  assert.deepEqual(
    changes(boot({}, exit, rom)).map(({ code }) => code),
    ['boot.option-rom-changed'],
  );
});

test('approved parts that were not approved together are told as that', () => {
  const reference = mergeBoots([boot({}, exit), boot({ kernel: 'k2', initrd: 'i2' }, exit)]);
  const [change, ...others] = changes(boot({ kernel: 'k2' }, exit), reference);
  assert.deepEqual(others, []);
  assert.deepEqual([change?.code, change?.pcrs], ['boot.not-together', [4]]);
});

test('the bank is one that the reference has, not the log’s last', () => {
  const merger = new BootMerger();
  merger.addLog(parseBootLog(agileLog(specIdPayload([[0x0b, 32]]), [{ ...exit, digests: exit.digests.slice(0, 1) }])));
  const ofOneBank = merger.finish();
  const log = logOf(exit);
  assert.equal(comparableBank(approved, log), 'sha512');
  assert.equal(comparableBank(ofOneBank, log), 'sha256');
  assert.deepEqual(changesFromReference(ofOneBank, log, 'sha256'), []);
  assert.equal(comparableBank(ofOneBank, parseBootLog(agileLog(specIdPayload([[0x0d, 64]]), []))), undefined);
});
