import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agileLog, specIdPayload, type TestEvent } from '../../../test/fixtures/boot-logs.ts';
import { digest } from '../../bytes/index.ts';
import { decodeLog } from '../decode/decode-event.ts';
import { parseBootLog } from '../parse.ts';
import { tellBoot } from '../story.ts';
import { compareLaunches } from './launch.ts';
import { type LaunchEvent, launchKind, nameLaunchEvents, txtPcrMap } from './names.ts';

const SHA256 = 0x000b;
type Row = readonly [pcr: number, type: number, content: string];

/** In the order in which SINIT, then tboot, measure; 0x501 is tboot's, with no data. */
const LEGACY: readonly Row[] = [
  [17, 0x402, 'sinit'],
  [17, 0x40a, 'bios acm'],
  [17, 0x411, 'lcp'],
  [18, 0x404, 'tboot'],
  [17, 0x501, 'policy'],
  [18, 0x501, 'xen'],
  [19, 0x501, 'dom0'],
  [19, 0x501, 'initrd'],
];
const DETAILS: readonly Row[] = [
  [17, 0x402, 'sinit'],
  [17, 0x404, 'tboot'],
  [18, 0x410, 'key'],
  [17, 0x412, 'lcp'],
  [18, 0x413, 'lcp'],
  [17, 0x501, 'policy'],
  [18, 0x501, 'policy'],
  [17, 0x501, 'kernel'],
  [17, 0x501, 'initrd'],
];

const events = (rows: readonly Row[]): LaunchEvent[] =>
  rows.map(([pcr, type], index) => ({ index, pcr, type, text: undefined }));

function log(rows: readonly Row[], data = Buffer.alloc(0)) {
  const made: TestEvent[] = rows.map(([pcr, type, content]) => ({
    pcr,
    type,
    digests: [[SHA256, digest('sha256', Buffer.from(content))]],
    data,
  }));
  return parseBootLog(agileLog(specIdPayload([[SHA256, 32]]), made));
}

const names = (rows: readonly Row[]): string[] => [...nameLaunchEvents(events(rows)).values()].slice(-4);

test('both maps of Intel TXT are told apart, and what tboot measured is named by its place in each', () => {
  assert.equal(txtPcrMap(events(LEGACY)), 'legacy');
  assert.equal(txtPcrMap(events(DETAILS)), 'details-authorities');
  assert.equal(txtPcrMap(events([[18, 0x413, 'lcp']])), 'details-authorities');
  assert.equal(txtPcrMap(events([[17, 0x402, 'sinit']])), undefined);
  assert.deepEqual(names(LEGACY), ['tboot’s launch policy', 'first module (kernel or Xen)', 'module 2', 'module 3']);
  const policy = 'tboot’s launch policy';
  assert.deepEqual(names(DETAILS), [policy, policy, 'first module (kernel or Xen)', 'module 2']);
});

test('who launched is told from the events', () => {
  assert.equal(launchKind(events(LEGACY)), 'intel-txt');
  assert.equal(launchKind([{ index: 1, pcr: 17, type: 0x502, text: 'SKINIT' }]), 'amd-skinit');
  assert.equal(launchKind([{ index: 1, pcr: 18, type: 0x502, text: 'Measured boot parameters' }]), 'secure-launch');
  assert.equal(launchKind([{ index: 1, pcr: 4, type: 5, text: 'SKINIT' }]), undefined);
});

test('a launch is a chapter: who launched, what each PCR of its map holds, what each event measured', () => {
  const [, chapter] = tellBoot(decodeLog(log([[255, 0x401, ''], ...LEGACY])));
  assert.equal(chapter?.stage, 'launch');
  assert.equal(chapter?.notes[0], 'by Intel TXT');
  assert.deepEqual(
    chapter?.notes.slice(1).map((note) => note.slice(0, 13)),
    ['PCR 17: SINIT', 'PCR 18: the l', 'PCR 19: the o'],
  );
  assert.deepEqual(
    chapter?.lines.slice(0, 3).map(({ pcr, text }) => [pcr, text]),
    [
      [255, 'which PCR map the launch used'],
      [17, 'SINIT, the module that the processor started'],
      [17, 'registration of the BIOS’ module (ACM)'],
    ],
  );
});

test('what Linux adds to a launch by TXT is told with its PCRs', () => {
  const rows: Row[] = [
    ...DETAILS.slice(0, 5),
    [17, 0x503, ''],
    [17, 0x502, 'initrd'],
    [18, 0x502, 'cmdline'],
    [17, 0x504, ''],
  ];
  const [, details = '', authorities = ''] =
    tellBoot(decodeLog(log(rows))).find(({ stage }) => stage === 'launch')?.notes ?? [];
  assert.match(details, /^PCR 17: details: .*; then by Linux, the initrd$/);
  assert.match(authorities, /^PCR 18: authorities: .*; then by Linux, boot parameters, command line and memory map$/);
});

test('AMD’s loader is named, and the marks around a launch say that they extend nothing', () => {
  const rows: Row[] = [
    [17, 0x03, 'mark'],
    [17, 0x502, 'slb'],
    [17, 0x503, 'begin'],
    [17, 0x504, 'end'],
  ];
  const chapters = tellBoot(decodeLog(log(rows, Buffer.from('SKINIT'))));
  const launch = chapters.find(({ stage }) => stage === 'launch');
  assert.equal(launch?.notes[0], 'by AMD SKINIT');
  const [mark = '', loader, begin = '', end = ''] = launch?.lines.map(({ text }) => text) ?? [];
  assert.equal(loader, 'the secure loader that SKINIT started');
  for (const text of [mark, begin, end]) assert.match(text, /extends nothing/);
});

test('a changed module of tboot is named in either map', () => {
  const changed = (rows: readonly Row[], content: string) =>
    rows.map((row): Row => (row[2] === content ? [row[0], row[1], 'changed'] : row));
  const named = (rows: readonly Row[], content: string) =>
    compareLaunches(log(rows), log(changed(rows, content))).map(({ kind, pcr, component }) => [kind, pcr, component]);
  assert.deepEqual(named(LEGACY, 'xen'), [['changed', 18, 'first module (kernel or Xen)']]);
  assert.deepEqual(named(LEGACY, 'initrd'), [['changed', 19, 'module 3']]);
  assert.deepEqual(named(DETAILS, 'kernel'), [['changed', 17, 'first module (kernel or Xen)']]);
  assert.deepEqual(named(DETAILS, 'key'), [['changed', 18, 'key that signed SINIT']]);
});
