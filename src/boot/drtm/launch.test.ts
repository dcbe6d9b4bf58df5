import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agileLog, specIdPayload, type TestEvent } from '../../../test/fixtures/boot-logs.ts';
import { digest } from '../../bytes/index.ts';
import { parseBootLog } from '../parse.ts';
import { replayBootLog } from '../replay.ts';
import { compareLaunches, launchMeasurements } from './launch.ts';

const SHA256 = 0x000b;
const measured = (pcr: number, type: number, text: string, content = text): TestEvent => ({
  pcr,
  type,
  digests: [[SHA256, digest('sha256', Buffer.from(content))]],
  data: Buffer.from(text),
});
const START = measured(17, 3, 'SKINIT');
const KERNEL = measured(17, 0x502, 'Measured kernel');
const CMDLINE = measured(18, 0x502, 'Measured Kernel command line', 'ro quiet');
const log = (...events: TestEvent[]) => parseBootLog(agileLog(specIdPayload([[SHA256, 32]]), events));

test("a launch's PCRs begin at zero, and bracketing events extend none", () => {
  const zero = Buffer.alloc(32);
  const expected = digest('sha256', zero, digest('sha256', Buffer.from('Measured kernel'))).toString('hex');
  assert.equal(replayBootLog(log(START, KERNEL, START)).sha256?.['17'], expected);
  assert.deepEqual(
    launchMeasurements(log(START, measured(4, 4, 'elsewhere'), KERNEL), 'sha256').map(({ index, pcr }) => [index, pcr]),
    [[3, 17]],
  );
});

test("Secure Launch's markers enclose what is extended, and extend nothing", () => {
  const enclosed = log(measured(17, 0x503, ''), KERNEL, measured(17, 0x504, ''));
  assert.deepEqual(replayBootLog(enclosed), replayBootLog(log(KERNEL)));
  assert.equal(launchMeasurements(enclosed, 'sha256').length, 1);
});

test('the component that changed, went or came is named', () => {
  const before = log(KERNEL, CMDLINE);
  assert.deepEqual(compareLaunches(before, log(KERNEL, CMDLINE), 'sha256'), []);
  const [changed, ...more] = compareLaunches(
    before,
    log(KERNEL, measured(18, 0x502, 'Measured Kernel command line', 'ro debug')),
    'sha256',
  );
  assert.deepEqual(more, []);
  assert.equal(changed?.component, 'Measured Kernel command line');
  assert.equal(changed?.from, digest('sha256', Buffer.from('ro quiet')).toString('hex'));
  assert.equal(changed?.to, digest('sha256', Buffer.from('ro debug')).toString('hex'));
  assert.deepEqual(
    compareLaunches(before, log(KERNEL, KERNEL), 'sha256').map(({ pcr, from, to }) => [
      pcr,
      from !== undefined,
      to !== undefined,
    ]),
    [
      [18, true, false],
      [17, false, true],
    ],
  );
});

test('two launches are compared in the longest bank that both have, and equal components in another order are told', () => {
  assert.deepEqual(compareLaunches(log(KERNEL, START), log(KERNEL)), []);
  const initrd = measured(17, 0x502, 'Measured initrd');
  const [order, ...more] = compareLaunches(log(KERNEL, initrd, CMDLINE), log(initrd, KERNEL, CMDLINE));
  assert.deepEqual(more, []);
  assert.deepEqual([order?.kind, order?.pcr, order?.component], ['reordered', 17, 'Measured kernel']);
  const sha1 = parseBootLog(agileLog(specIdPayload([[4, 20]]), []));
  assert.throws(() => compareLaunches(log(KERNEL), sha1), /share no bank/);
});

test('a measurement without text is called by its type', () => {
  const event = { ...measured(17, 0x402, 'x'), data: Buffer.from([1, 2, 3]) };
  assert.equal(launchMeasurements(log(event), 'sha256')[0]?.component, 'SINIT, the module that the processor started');
  const unknown = { ...event, type: 0x4f0 };
  assert.equal(launchMeasurements(log(unknown), 'sha256')[0]?.component, '0x000004f0');
});
