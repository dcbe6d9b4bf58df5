import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding, HostDetail } from './api.ts';
import { chainOf, isEmpty } from './chain-links.ts';
import type { ChainLink, Severity } from './severity.ts';

const filled = (index: number) => ({ index, meaning: '', value: 'ab'.repeat(32) });

const HARDWARE: HostDetail = {
  id: '1',
  name: 'one',
  verdict: 'trusted',
  asOf: 0,
  assurance: 'hardware',
  measurer: 'kernel',
  live: true,
  measured: 12,
  findings: [],
  chain: [],
  bank: 'sha256',
  pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 10].map(filled),
};

const DEMONSTRATION: HostDetail = {
  ...HARDWARE,
  verdict: 'warning',
  assurance: 'demonstration',
  measurer: 'user-space',
  pcrs: [...[0, 1, 2, 3, 4, 5, 6, 7].map((index) => ({ index, meaning: '', value: '00'.repeat(32) })), filled(10)],
};

function finding(link: ChainLink, severity: Severity, subject = ''): Finding {
  return { code: `${link}.${severity}`, link, severity, title: 'a title', advice: '', subject, message: '' };
}

const statesOf = (host: HostDetail): readonly string[] => chainOf(host).map((view) => view.state);

test('a machine that has everything holds everywhere', () => {
  assert.deepEqual(statesOf(HARDWARE), ['held', 'held', 'held', 'held']);
});

test('what a machine does not have is absent, with what would fill it', () => {
  assert.deepEqual(statesOf(DEMONSTRATION), ['absent', 'absent', 'absent', 'held']);
  for (const view of chainOf(DEMONSTRATION).slice(0, 3)) assert.match(view.fill ?? '', /TPM|UEFI|CONFIG_IMA/);
  assert.equal(chainOf({ ...HARDWARE, measured: 0 }).at(-1)?.state, 'absent');
});

test('filled registers without a log are no firmware link', () => {
  const chain = [{ link: 'firmware', state: 'absent' }];
  assert.deepEqual(statesOf({ ...HARDWARE, chain }), ['held', 'absent', 'held', 'held']);
  assert.match(chainOf({ ...HARDWARE, chain })[1]?.says ?? '', /no firmware log/);
  assert.match(chainOf({ ...HARDWARE, chain, assurance: 'demonstration' })[1]?.says ?? '', /stand-in/);
});

test('a warning makes its link doubtful and leaves an absent one absent', () => {
  const findings = [finding('firmware', 'warning'), finding('files', 'info')];
  assert.deepEqual(statesOf({ ...HARDWARE, findings }), ['held', 'doubt', 'held', 'held']);
  assert.deepEqual(statesOf({ ...DEMONSTRATION, findings }), ['absent', 'absent', 'absent', 'held']);
});

test('an untrusted finding breaks its link, absent or not, and is named as the cause', () => {
  const cause = finding('files', 'untrusted', '/bin/x');
  const host = { ...DEMONSTRATION, findings: [finding('files', 'warning'), cause] };
  assert.deepEqual(statesOf(host), ['absent', 'absent', 'absent', 'broken']);
  assert.equal(chainOf(host).at(-1)?.cause, cause);
});

test('what stands on a broken link cannot be told, and is not shown as holding', () => {
  const host = { ...HARDWARE, findings: [finding('tpm', 'untrusted'), finding('files', 'untrusted')] };
  assert.deepEqual(statesOf(host), ['broken', 'unknown', 'unknown', 'broken']);
});

test('nothing holds before the first verdict', () => {
  const { verdict: _, asOf: __, ...unjudged } = HARDWARE;
  assert.deepEqual(statesOf({ ...unjudged, pcrs: [], measured: 0 }), ['unknown', 'unknown', 'unknown', 'unknown']);
});

test('a register that only reset has touched is empty', () => {
  assert.equal(isEmpty('00'.repeat(32)), true);
  assert.equal(isEmpty('ff'.repeat(32)), true);
  assert.equal(isEmpty(`${'00'.repeat(31)}03`), false);
  assert.equal(isEmpty('0f'.repeat(32)), false);
});
