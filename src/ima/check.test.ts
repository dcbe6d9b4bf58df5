import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeSamples, encodeViolation, extendAll } from '../../test/fixtures/ima-lists.ts';
import { parseBootLog, replayBootLog } from '../boot/index.ts';
import { type DigestAlgorithm, digest } from '../bytes/index.ts';
import { bootAggregate, checkBootAggregate } from './boot-aggregate.ts';
import { checkList, listHolds } from './check.ts';
import { ImaError } from './error.ts';
import { parsePcrText } from './pcr-text.ts';
import { parseMeasurementList } from './reader.ts';
import { encodeImaNgEntry } from './write.ts';

const corpus = join(process.env.ASSAY_CORPUS ?? '/nonexistent', 'ima');
const needsCorpus = { skip: existsSync(corpus) ? false : 'needs the corpus (its folder in ASSAY_CORPUS)' };
const corpusFile = (name: string) => readFileSync(join(corpus, `sample-${name}`));

const firmware = Object.fromEntries(
  Array.from({ length: 10 }, (_, pcr) => [pcr, digest('sha256', Buffer.of(pcr)).toString('hex')]),
);
const boot = encodeImaNgEntry(10, 'sha256', bootAggregate('sha256', firmware), 'boot_aggregate');
const entries = [boot, ...encodeSamples().slice(1)];
const list = Buffer.concat(entries.map(({ bytes }) => bytes));
const pcr10 = (count: number, hash: DigestAlgorithm = 'sha256') =>
  extendAll(
    'sha256',
    entries.slice(0, count).map(({ templateData }) => digest(hash, templateData)),
  );

test("a real kernel's boot_aggregate is that of its firmware log", needsCorpus, () => {
  const pcrs = replayBootLog(parseBootLog(corpusFile('binary_bios_measurements-pcrs-8-9')));
  const [first] = parseMeasurementList(corpusFile('ascii_runtime_measurements-pcrs-8-9'));
  assert.equal(checkBootAggregate(first, pcrs).verdict, 'matches');
  const real = parsePcrText(corpusFile('tpm-2.0-pcrs-8-9').toString());
  for (let pcr = 0; pcr < 10; pcr++) assert.equal(real.sha1?.[pcr], pcrs.sha1?.[pcr], `PCR ${pcr}`);
});

test('boot_aggregate covers PCR 0–7 in the sha1 bank and PCR 0–9 in the others', () => {
  const values = (size: number) => Object.fromEntries(Array.from({ length: 24 }, (_, i) => [i, '11'.repeat(size)]));
  assert.deepEqual(bootAggregate('sha1', values(20)), digest('sha1', Buffer.alloc(160, 0x11)));
  assert.deepEqual(bootAggregate('sha384', values(48)), digest('sha384', Buffer.alloc(480, 0x11)));
  assert.throws(() => bootAggregate('sha256', values(20)), ImaError);
});

test('boot_aggregate says why it cannot be compared', () => {
  const [first, second] = parseMeasurementList(list);
  assert.equal(checkBootAggregate(first, { sha1: {} }).verdict, 'no-bank');
  assert.equal(checkBootAggregate(first, { sha256: { 10: '00'.repeat(32) } }).verdict, 'no-bank');
  assert.equal(checkBootAggregate(second, { sha256: firmware }).verdict, 'absent');
  assert.equal(checkBootAggregate(undefined, { sha256: firmware }).verdict, 'absent');
  const [zero] = parseMeasurementList(encodeImaNgEntry(10, 'sha256', Buffer.alloc(32), 'boot_aggregate').bytes);
  assert.equal(checkBootAggregate(zero, { sha256: firmware }).verdict, 'no-tpm');
  assert.equal(checkBootAggregate(first, { sha256: { ...firmware, 9: '00'.repeat(32) } }).verdict, 'differs');
});

test('a list holds where aggregate and virtual PCR are the real ones', () => {
  const check = checkList([list], { sha256: { ...firmware, 10: pcr10(entries.length) } });
  assert.ok(listHolds(check));
  assert.deepEqual([check.bootAggregate.verdict, check.pcrs[0]?.reachedAt], ['matches', entries.length]);
});

test('a list that has grown since the PCR was read holds up to there', () => {
  const check = checkList([list], { sha256: { ...firmware, 10: pcr10(3) } });
  assert.ok(listHolds(check));
  assert.equal(check.pcrs[0]?.reachedAt, 3);
});

test('a list with a changed, missing or added entry before the PCR value does not hold', () => {
  const real = { sha256: { ...firmware, 10: pcr10(entries.length) } };
  const changed = Buffer.from(list);
  const last = changed.length - 1;
  changed[last] = (changed[last] ?? 0) ^ 1;
  const short = Buffer.concat(entries.slice(0, -1).map(({ bytes }) => bytes));
  const longer = Buffer.concat([
    boot.bytes,
    encodeViolation('/x').bytes,
    ...entries.slice(1).map(({ bytes }) => bytes),
  ]);
  for (const bytes of [changed, short, longer]) assert.equal(listHolds(checkList([bytes], real)), false);
});

test('a bank filled with padded SHA-1 is recognised', () => {
  const [check] = checkList([list], { sha256: { ...firmware, 10: pcr10(entries.length, 'sha1') } }).pcrs;
  assert.deepEqual([check?.reachedAt, check?.padded], [entries.length, true]);
});

test('PCR values that say nothing about the list cannot be checked', () => {
  assert.throws(
    () => checkList([list], { sha1: { 0: '00'.repeat(20) } }),
    (error: unknown) => error instanceof ImaError && error.code === 'ima.cannot-check' && error.exitCode === 3,
  );
});

test('PCR values are read from the forms of the usual tools', () => {
  const hex = 'ab'.repeat(20);
  assert.deepEqual(parsePcrText(`  sha1:\n    0 : 0x${hex.toUpperCase()}\n    10: 0x${hex}\n  sha256:\n  sm3_256:\n`), {
    sha1: { 0: hex, 10: hex },
  });
  assert.deepEqual(parsePcrText(`pcrread: tsspcrread -halg sha1\n0: ${hex}\n`), { sha1: { 0: hex } });
  assert.deepEqual(parsePcrText(`PCR-00: ${'AB '.repeat(20)}\nPCR-10: ${'AB '.repeat(20)}\n`), {
    sha1: { 0: hex, 10: hex },
  });
  assert.deepEqual(parsePcrText(`{"pcrs":{"sha1":{"7":"${hex}"}}}`), { sha1: { 7: hex } });
});

test('text that is no PCR values is refused with its line', () => {
  const hex = 'ab'.repeat(20);
  for (const text of [
    '',
    'hello',
    `0: ${hex}\nnonsense here\n`,
    `24: ${hex}`,
    '0: abcd',
    `sha256:\n 0 : 0x${hex}`,
    `0: ${hex}\n0: ${'cd'.repeat(20)}`,
    '{"pcrs":{"sha1":{"0":"zz"}}}',
    '{"pcrs":{"tiger":{}}}',
    '{',
    '{"pcrs":[]}',
  ]) {
    assert.throws(
      () => parsePcrText(text),
      (error: unknown) => error instanceof ImaError && error.code === 'ima.pcr-text' && /line \d/.test(error.message),
      text,
    );
  }
});
