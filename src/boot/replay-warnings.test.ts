import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agileLog, corpusLogs, needsCorpus, specIdPayload, type TestEvent } from '../../test/fixtures/boot-logs.ts';
import { parseBootLog } from './parse.ts';
import { replayWarnings } from './replay-warnings.ts';

const SHA1 = 0x0004;
const SHA256 = 0x000b;
const BOTH = specIdPayload([
  [SHA1, 20],
  [SHA256, 32],
]);
const digests = [
  [SHA1, Buffer.alloc(20)],
  [SHA256, Buffer.alloc(32)],
] as const;
const event = (pcr: number, type: number, text = ''): TestEvent => ({ pcr, type, digests, data: Buffer.from(text) });
const locality = (value: number, pcr = 0) => event(pcr, 3, `StartupLocality\0${String.fromCharCode(value)}`);
const warnings = (...events: readonly TestEvent[]) => replayWarnings(parseBootLog(agileLog(BOTH, events)));
const crtm = event(0, 8, 'v');
const hcrtm = event(0, 0x80000010, 'HCRTM');

test('a log that says one thing, in every bank, gives no warning', () => {
  assert.deepEqual(warnings(locality(3), crtm, event(4, 4)), []);
  assert.deepEqual(warnings(locality(0), crtm), []);
  assert.deepEqual(warnings(locality(4), hcrtm, crtm), []);
  assert.deepEqual(warnings(event(17, 0x402), event(18, 0x501)), []);
});

test('digests that a bank lacks are told, by the first event that lacks one', () => {
  const alone: TestEvent = { ...crtm, digests: [[SHA256, Buffer.alloc(32)]] };
  assert.deepEqual(warnings(crtm, alone), [
    '1 event has no sha1 digest, the first event 2: a TPM with this bank holds other values',
  ]);
  assert.deepEqual(warnings(alone), ['no event has a sha1 digest, though the log lists this bank']);
  const unknown: TestEvent = { ...crtm, digests: [[0x7a, Buffer.alloc(7)]] };
  const log = parseBootLog(agileLog(specIdPayload([[0x7a, 7]]), [unknown]));
  assert.deepEqual(replayWarnings(log), ['bank 0x7a cannot be computed: its values are left out']);
});

/** TCG PC Client Platform Firmware Profile 1.06, 10.4.5.3. */
const STARTS: readonly (readonly [what: string, events: readonly TestEvent[], warned: RegExp])[] = [
  ['two localities', [locality(3), locality(4), crtm], /contradict one another/],
  ['a locality that is late', [crtm, locality(3)], /event 2, StartupLocality 3, comes after PCR 0/],
  ['a locality of another PCR', [locality(3, 1), crtm], /stands in PCR 1/],
  ['a locality that starts no TPM', [locality(7), crtm], /no TPM is started from/],
  ['an H-CRTM that is not first', [crtm, hcrtm], /event 2, of the H-CRTM, is not PCR 0's first/],
  ['an H-CRTM and another locality', [locality(3), hcrtm], /contradicts StartupLocality/],
  ['PCRs of a launch without one', [crtm, event(17, 4)], /no event is of a launch/],
];
for (const [what, events, warned] of STARTS) {
  test(`warned of: ${what}`, () => {
    const [first = '', ...others] = warnings(...events);
    assert.match(first, warned);
    assert.deepEqual(others, []);
  });
}

test('real logs give none but for banks that they list and do not use', needsCorpus, () => {
  for (const { name, bytes } of corpusLogs()) {
    const left = replayWarnings(parseBootLog(bytes)).filter((one) => !/^no event has a/.test(one));
    assert.deepEqual(left, [], name);
  }
});
