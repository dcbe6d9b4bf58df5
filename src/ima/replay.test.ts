import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  encodeSamples,
  encodeViolation,
  extendAll,
  TEMPLATE_SAMPLES,
  UNKNOWN_TEMPLATE,
} from '../../test/fixtures/ima-lists.ts';
import { type DigestAlgorithm, digest, ParseError } from '../bytes/index.ts';
import { ImaError } from './error.ts';
import { parseMeasurementList, StreamedReplay } from './reader.ts';
import { ListReplay } from './replay.ts';
import type { ReplayState } from './replay-state.ts';
import { encodeEntry, encodeImaNgEntry, imaNgTemplateData } from './write.ts';

const BANKS = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3'] as const;
const samples = encodeSamples();
const list = Buffer.concat(samples.map(({ bytes }) => bytes));
const expected = (bank: DigestAlgorithm, entries = samples) =>
  extendAll(
    bank,
    entries.map(({ templateData }) => digest(bank, templateData)),
  );

test('a template digest of a real kernel is recomputed', () => {
  // ima-evm-utils tests/sample-ascii_runtime_measurements-pcrs-8-9, written by a Linux 5.8 kernel.
  const aggregate = Buffer.from('83d19723ef3b3c05bb8ae70d86b3886c158f2408f1b71ed265886a7b79eb700e', 'hex');
  const { bytes } = encodeImaNgEntry(10, 'sha256', aggregate, 'boot_aggregate');
  assert.equal(bytes.toString('hex', 4, 24), '2e03b3fdb0014fc8bae2a07ca33ae67125b290f3');
});

test('every template replays in every bank, and its stored digest is right', () => {
  const replay = new ListReplay({ banks: BANKS });
  assert.deepEqual(replay.run(list), { consumed: list.length, reached: false, incomplete: false });
  assert.equal(replay.entries, samples.length);
  assert.deepEqual(replay.badTemplateDigests, []);
  assert.equal(replay.templates.get('ima-sig'), 2);
  for (const bank of BANKS) assert.equal(replay.pcrs()[bank]?.['10'], expected(bank), bank);
});

test('lists of the per-algorithm files are told by their digest size', () => {
  for (const algorithm of ['sha1', 'sha256', 'sha384', 'sha512', 'sha224', 'md5'] as const) {
    const bytes = Buffer.concat(encodeSamples(algorithm).map((entry) => entry.bytes));
    const replay = new ListReplay({ banks: ['sha256'] });
    replay.run(bytes);
    assert.deepEqual([replay.entries, replay.badCount], [samples.length, 0], algorithm);
    assert.equal(replay.pcrs().sha256?.['10'], expected('sha256'));
  }
});

test('a list of an algorithm that shares its size is replayed where it is named', () => {
  const bytes = Buffer.concat(encodeSamples('sm3').map((entry) => entry.bytes));
  const named = new ListReplay({ banks: ['sha256'], templateAlgorithm: 'sm3' });
  named.run(bytes);
  assert.equal(named.badCount, 0);
  const guessed = new ListReplay({ banks: ['sha256'] });
  guessed.run(bytes);
  assert.equal(guessed.badCount, samples.length);
});

test('a violation extends FF in every bank and is no bad digest', () => {
  const entries = [...samples.slice(0, 1), encodeViolation('/var/log/wtmp')];
  const replay = new ListReplay({ banks: BANKS });
  replay.run(Buffer.concat(entries.map(({ bytes }) => bytes)));
  assert.deepEqual([replay.violations, replay.badCount], [1, 0]);
  for (const bank of BANKS) {
    const first = digest(bank, samples[0]?.templateData ?? Buffer.alloc(0));
    assert.equal(replay.pcrs()[bank]?.['10'], extendAll(bank, [first, Buffer.alloc(first.length, 0xff)]), bank);
  }
});

test('a padded bank is extended with SHA-1 and zeros, a violation there with 20 bytes of FF', () => {
  const entries = [...samples.slice(0, 1), encodeViolation('/x')];
  const replay = new ListReplay({ banks: ['sha256'], paddedBanks: ['sha256'] });
  replay.run(Buffer.concat(entries.map(({ bytes }) => bytes)));
  const first = digest('sha1', samples[0]?.templateData ?? Buffer.alloc(0));
  assert.equal(replay.pcrs().sha256?.['10'], extendAll('sha256', [first, Buffer.alloc(20, 0xff)]));
});

test('entries extend the PCR that they name', () => {
  const other = encodeEntry({ pcr: 11, template: 'ima-ng', fields: TEMPLATE_SAMPLES[0]?.[1] ?? [] });
  const replay = new ListReplay({ banks: ['sha256'] });
  replay.run(Buffer.concat([list, other.bytes]));
  assert.deepEqual(Object.keys(replay.pcrs().sha256 ?? {}), ['10', '11']);
});

test('an unknown template is replayed as it is', () => {
  const [template, fields] = UNKNOWN_TEMPLATE;
  const entry = encodeEntry({ pcr: 10, template, fields });
  const replay = new ListReplay({ banks: ['sha256'] });
  replay.run(Buffer.concat([list, entry.bytes]));
  assert.equal(replay.badCount, 0);
  assert.equal(replay.pcrs().sha256?.['10'], expected('sha256', [...samples, entry]));
});

test('changed template data is a bad template digest, by its index', () => {
  const changed = Buffer.from(list);
  const last = changed.length - 1;
  changed[last] = (changed[last] ?? 0) ^ 1;
  const replay = new ListReplay({ banks: ['sha256'] });
  replay.run(changed);
  assert.deepEqual(replay.badTemplateDigests, [samples.length - 1]);
  const unchecked = new ListReplay({ banks: ['sha256'], checkTemplateDigests: false });
  unchecked.run(changed);
  assert.equal(unchecked.badCount, 0);
});

test('the replay stops exactly where the quoted value is reached, and goes on from there', () => {
  for (let count = 0; count <= samples.length; count++) {
    const value = Buffer.from(expected('sha256', samples.slice(0, count)), 'hex');
    const until = [{ bank: 'sha256', pcr: 10, value }] as const;
    const replay = new ListReplay({ banks: ['sha256'] });
    const result = replay.run(list, { until });
    assert.deepEqual([result.reached, replay.entries], [true, count]);
    // State is plain data: what JSON keeps of it resumes.
    const state: ReplayState = JSON.parse(JSON.stringify(replay.state()));
    assert.equal(state.bytes, result.consumed);
    const resumed = new ListReplay({ banks: ['sha256'], state });
    assert.equal(resumed.run(list.subarray(state.bytes), { until }).consumed, 0, 'nothing new is needed');
    resumed.run(list.subarray(state.bytes));
    assert.equal(resumed.pcrs().sha256?.['10'], expected('sha256'));
    assert.equal(resumed.entries, samples.length);
  }
});

test('a value that the list does not pass through is not reached', () => {
  const replay = new ListReplay({ banks: ['sha256'] });
  const until = [{ bank: 'sha256', pcr: 10, value: Buffer.alloc(32, 1) }] as const;
  assert.equal(replay.run(list, { until }).reached, false);
  assert.equal(replay.holds([{ bank: 'sha384', pcr: 10, value: Buffer.alloc(48) }]), false, 'a bank not replayed');
});

test('the caller gets the look-up key of each entry and may stop', () => {
  const keys: string[] = [];
  const replay = new ListReplay({ banks: ['sha384'], keyAlgorithm: 'sha256' });
  replay.run(list, { onEntry: (key) => keys.push(key) < 3 });
  assert.equal(replay.entries, 3);
  assert.deepEqual(
    keys,
    samples.slice(0, 3).map(({ templateData }) => digest('sha256', templateData).toString('latin1')),
  );
  const value = digest('sha256', Buffer.from('boot'));
  assert.equal(keys[0], digest('sha256', imaNgTemplateData('sha256', value, 'boot_aggregate')).toString('latin1'));
});

test('a state resumes only in banks that it kept', () => {
  const replay = new ListReplay({ banks: ['sha256'] });
  replay.run(list);
  assert.throws(() => new ListReplay({ banks: ['sha384'], state: replay.state() }), ImaError);
  assert.throws(() => new ListReplay({ banks: [] }), ImaError);
});

test('a broken entry leaves the state before it', () => {
  const replay = new ListReplay({ banks: ['sha256'] });
  const broken = Buffer.concat([list, Buffer.alloc(40, 0xff)]);
  assert.throws(
    () => replay.run(broken),
    (error: unknown) => error instanceof ParseError && error.offset === list.length,
  );
  assert.equal(replay.state().bytes, list.length);
  assert.equal(replay.pcrs().sha256?.['10'], expected('sha256'));
});

test('a list in chunks of any size replays as in one piece', () => {
  for (const size of [1, 2, 7, 64, 1000]) {
    const stream = new StreamedReplay({ banks: ['sha1', 'sha256'] });
    for (let at = 0; at < list.length; at += size) stream.push(list.subarray(at, at + size));
    stream.end();
    assert.equal(stream.replay.pcrs().sha256?.['10'], expected('sha256'));
    assert.equal(stream.replay.state().bytes, list.length);
  }
});

test('the entry of a name with spaces is what the kernel writes for it', () => {
  const value = digest('sha256', Buffer.from('x'));
  const [entry] = parseMeasurementList(encodeImaNgEntry(10, 'sha256', value, '/a b').bytes);
  assert.equal(entry?.fields?.path, '/a_b');
});
