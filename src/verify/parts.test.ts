/** Lists that come in parts: replayed on from part to part, judged only once the quote proves them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Attestation, codes } from '../../test/fixtures/attestation.ts';
import { contentDigest, Machine } from '../../test/fixtures/machine.ts';
import type { Evidence } from '../evidence/index.ts';
import { requestFor } from './request.ts';
import type { AttestationResult } from './types.ts';

const PART = 300 * 1024;
/** Long names make a long list of few entries. */
const longPath = (index: number): string => `/opt/${'d'.repeat(2000)}/${index}`;
const ENTRIES = 400;
const approved = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ path: longPath(from + i), digests: [contentDigest(`${from + i}`)] }));

function measureMany(machine: Machine, from: number, to: number): void {
  for (let index = from; index < to; index++) machine.measure(longPath(index), `${index}`);
}

function machineWithLongList(): Machine {
  const machine = new Machine();
  measureMany(machine, 0, ENTRIES);
  return machine;
}

const referenceFor = (machine: Machine) => ({ boot: machine.bootReference(), files: approved(0, 2 * ENTRIES) });

function sound(): Attestation {
  const machine = machineWithLongList();
  return new Attestation(machine, referenceFor(machine));
}

const requested = ({ state, enrolment, reference, now }: Attestation) => requestFor(state, enrolment, reference, now);

/** What an agent sends whose parts have at most `limit` bytes. */
function part(attestation: Attestation, limit = PART): Pick<Evidence, 'imaLog'> {
  const offset = requested(attestation).imaOffset;
  return { imaLog: { kind: 'part', offset, bytes: attestation.machine.list.subarray(offset, offset + limit) } };
}

/** Attests in parts until there is a verdict. */
function untilVerdict(attestation: Attestation, limit = PART): AttestationResult[] {
  const results: AttestationResult[] = [];
  do results.push(attestation.attest(part(attestation, limit)));
  while (results.at(-1)?.verdict === undefined && results.length < 50);
  return results;
}

const verdicts = (results: readonly AttestationResult[]) => results.map(({ verdict }) => verdict);

test('a first list of several parts gets its verdict with the last, and no part counts as behind', () => {
  const attestation = sound();
  const { list } = attestation.machine;
  assert.ok(list.length > 2 * PART);
  const first = attestation.attest(part(attestation));
  assert.deepEqual([first.verdict, first.verified, codes(first)], [undefined, false, ['evidence.more-needed']]);
  assert.equal(first.measured, 0);
  assert.equal(attestation.state?.behind, 0);
  assert.ok(requested(attestation).imaOffset > PART - 3000 && requested(attestation).imaOffset <= PART);
  const rest = untilVerdict(attestation);
  assert.deepEqual([rest.length, rest.at(-1)?.verdict, rest.at(-1)?.measured], [2, 'trusted', ENTRIES + 1]);
  assert.equal(attestation.state?.unproven, undefined);
  assert.equal(attestation.state?.boot?.ima.bytes, list.length);
});

test('more parts than a list may be behind', () => {
  const attestation = sound();
  measureMany(attestation.machine, ENTRIES, 2 * ENTRIES);
  const results = untilVerdict(attestation);
  assert.ok(results.length > 4);
  assert.equal(results.at(-1)?.verdict, 'trusted');
});

test('a host that is known and grew by several parts goes on from what was proven', () => {
  const attestation = sound();
  untilVerdict(attestation);
  const proven = attestation.state?.boot?.ima.bytes ?? 0;
  measureMany(attestation.machine, ENTRIES, 2 * ENTRIES);
  const first = attestation.attest(part(attestation));
  assert.deepEqual([first.verdict, first.measured], [undefined, ENTRIES + 1]);
  assert.equal(attestation.state?.boot?.ima.bytes, proven);
  assert.ok(requested(attestation).imaOffset > proven);
  assert.equal(requested(attestation).bootLog, 'digest');
  assert.equal(untilVerdict(attestation).at(-1)?.verdict, 'trusted');
});

test('the list grows while its parts come', () => {
  const attestation = sound();
  attestation.attest(part(attestation));
  attestation.machine.measure('/tmp/evil', 'evil');
  attestation.attest(part(attestation));
  attestation.machine.measure('/tmp/worse', 'worse');
  const [last] = untilVerdict(attestation);
  assert.deepEqual([last?.verdict, last && codes(last)], ['untrusted', ['file.unknown', 'file.unknown']]);
});

test('a finding in the first part is told with the verdict and not before', () => {
  const machine = new Machine();
  machine.measure('/tmp/evil', 'evil');
  measureMany(machine, 0, ENTRIES);
  const attestation = new Attestation(machine, referenceFor(machine));
  const results = untilVerdict(attestation);
  for (const result of results.slice(0, -1)) assert.deepEqual(codes(result), ['evidence.more-needed']);
  const last = results.at(-1);
  assert.deepEqual([last?.verdict, last && codes(last)], ['untrusted', ['file.unknown']]);
  assert.equal(last?.findings[0]?.position?.index, 1);
});

test('parts give what the whole list gives', () => {
  const machine = new Machine();
  machine.append('ima-ng', Buffer.alloc(8), { pcr: 11 });
  machine.violation('/var/log/wtmp');
  measureMany(machine, 0, ENTRIES + 1);
  const whole = new Attestation(machine, { boot: machine.bootReference(), files: approved(0, ENTRIES) });
  const inParts = new Attestation(machine, { boot: machine.bootReference(), files: approved(0, ENTRIES) });
  const expected = whole.attest();
  const found = untilVerdict(inParts).at(-1);
  assert.deepEqual(found?.findings, expected.findings);
  assert.deepEqual(inParts.state?.boot?.ima, whole.state?.boot?.ima);
  assert.deepEqual(inParts.state?.boot?.findings, whole.state?.boot?.findings);
});

test('parts that were made up never lead to a verdict but untrusted', () => {
  const attestation = sound();
  const honest = machineWithLongList();
  honest.list[4000] = (honest.list[4000] ?? 0) ^ 1; // the list says one thing, PCR 10 another
  attestation.machine.list = honest.list;
  const changed = attestation.attest(part(attestation));
  assert.deepEqual([changed.verdict, codes(changed)], ['untrusted', ['ima.template-digest']]);
  const other = new Machine();
  measureMany(other, 1, ENTRIES);
  attestation.machine.list = other.list; // well formed, an entry short
  assert.deepEqual(new Set(verdicts(untilVerdict(attestation))), new Set([undefined, 'untrusted']));
});

test('a part that cannot be read throws the unproven replay away, and a sound list is taken again', () => {
  const attestation = sound();
  attestation.attest(part(attestation));
  const offset = requested(attestation).imaOffset;
  const result = attestation.attest({ imaLog: { kind: 'part', offset, bytes: Buffer.alloc(1000, 0xff) } });
  assert.deepEqual([result.verdict, codes(result)], ['untrusted', ['ima.malformed']]);
  assert.deepEqual([attestation.state?.unproven, requested(attestation).imaOffset], [undefined, 0]);
  assert.equal(untilVerdict(attestation).at(-1)?.verdict, 'trusted');
});

test('a quote that does not verify leaves the unproven replay as it was', () => {
  const attestation = sound();
  attestation.attest(part(attestation));
  const before = attestation.state;
  const forged = attestation.attest({ quote: attestation.machine.quote(new Uint8Array(32)) });
  assert.equal(forged.verdict, 'untrusted');
  assert.deepEqual(attestation.state, before);
});

test('a part that does not continue what is held begins again', () => {
  const attestation = sound();
  attestation.attest(part(attestation));
  const offset = requested(attestation).imaOffset + 1;
  const result = attestation.attest({ imaLog: { kind: 'part', offset, bytes: Buffer.alloc(10) } });
  assert.deepEqual([result.verdict, attestation.state?.unproven, attestation.state?.behind], [undefined, undefined, 1]);
  assert.equal(requested(attestation).imaOffset, 0);
});

test('a reboot, a restart or another reference between two parts begins again', () => {
  const changes: ((attestation: Attestation) => void)[] = [
    ({ machine }) => {
      machine.boot();
      measureMany(machine, 0, ENTRIES);
    },
    ({ machine }) => {
      machine.restartCount += 1;
    },
    (attestation) => {
      attestation.reference = undefined;
    },
  ];
  for (const change of changes) {
    const attestation = sound();
    attestation.attest(part(attestation));
    const asked = part(attestation);
    change(attestation);
    const late = attestation.attest(asked);
    assert.deepEqual([late.verdict, attestation.state?.unproven], [undefined, undefined]);
    assert.equal(requested(attestation).imaOffset, 0);
    assert.notEqual(untilVerdict(attestation).at(-1)?.verdict, 'untrusted');
  }
});

test('an end that is withheld after parts is told after three tries, the last with everything sent again', () => {
  const attestation = sound();
  const withheld = attestation.machine.list.length - 10;
  const results: AttestationResult[] = [];
  for (let round = 0; round < 20 && results.at(-1)?.verdict === undefined; round++) {
    const { imaOffset: offset } = requested(attestation);
    const bytes = attestation.machine.list.subarray(offset, Math.min(offset + PART, withheld));
    results.push(attestation.attest({ imaLog: { kind: 'part', offset, bytes } }));
  }
  const [last, ...before] = results.reverse();
  assert.deepEqual([last?.verdict, last && codes(last)], ['untrusted', ['ima.list-behind-quote']]);
  const behind = before.filter((result) => codes(result).includes('ima.list-behind-quote'));
  assert.deepEqual([behind.length, before.length], [2, 6]);
});

test('small steps are no progress: a host that adds an entry each time is told after three tries', () => {
  const attestation = sound();
  untilVerdict(attestation);
  attestation.machine.measure('/tmp/evil', 'evil');
  const pretended = new Machine();
  const results: AttestationResult[] = [];
  for (let round = 0; round < 3; round++) {
    const { imaOffset: offset } = requested(attestation);
    const end = pretended.list.length;
    pretended.measure(`/opt/${round}`, 'x');
    results.push(attestation.attest({ imaLog: { kind: 'part', offset, bytes: pretended.list.subarray(end) } }));
  }
  assert.deepEqual(verdicts(results), [undefined, undefined, 'untrusted']);
});

/** Well-formed entries that no PCR has seen, for as long as the verifier asks for more. */
function endless(attestation: Attestation, wait: number, rounds: number): AttestationResult[] {
  const pretended = new Machine();
  measureMany(pretended, 0, 200);
  const bytes = pretended.list;
  return Array.from({ length: rounds }, () => {
    const { imaOffset: offset } = requested(attestation);
    attestation.wait(wait);
    return attestation.attest({ imaLog: { kind: 'part', offset, bytes } });
  });
}

test('progress without end is bounded in time, and then three times over', () => {
  const attestation = sound();
  const results = endless(attestation, 70_000, 30);
  const at = results.findIndex(({ verdict }) => verdict !== undefined);
  assert.ok(at >= 20 && at * 70_000 <= 3 * 11.7 * 60_000, `round ${at}`);
  assert.deepEqual([results[at]?.verdict, results[at] && codes(results[at])], ['untrusted', ['ima.list-behind-quote']]);
});

test('what a reboot throws away still counts for the time that is allowed', () => {
  const attestation = sound();
  const results: AttestationResult[] = [];
  for (let round = 0; round < 30; round++) {
    attestation.machine.boot();
    attestation.machine.measure('/tmp/evil', 'evil');
    attestation.wait(70_000);
    const pretended = new Machine();
    measureMany(pretended, 0, 200);
    results.push(attestation.attest({ imaLog: { kind: 'part', offset: 0, bytes: pretended.list } }));
  }
  assert.ok(results.some(({ verdict }) => verdict === 'untrusted'));
});

test('progress without end is bounded in bytes', () => {
  const attestation = sound();
  attestation.attest(part(attestation));
  const { state } = attestation;
  assert.ok(state?.unproven !== undefined);
  const { ima } = state.unproven;
  attestation.state = { ...state, unproven: { ...state.unproven, ima: { ...ima, bytes: 1024 ** 3 - 1 } } };
  const result = endless(attestation, 0, 1).at(-1);
  assert.equal(result?.verdict, undefined);
  assert.deepEqual([attestation.state?.unproven, attestation.state?.behind], [undefined, 1]);
  assert.equal(requested(attestation).imaOffset, 0);
});

test('evidence in a file that holds only a part is judged at once', () => {
  const attestation = sound();
  attestation.lastAttempt = true;
  const result = attestation.attest(part(attestation));
  assert.deepEqual([result.verdict, codes(result)], ['untrusted', ['ima.list-behind-quote']]);
});
