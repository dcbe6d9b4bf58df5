import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Attestation, codes, referenceOf } from '../../test/fixtures/attestation.ts';
import { contentDigest, listPart, Machine } from '../../test/fixtures/machine.ts';
import { requestFor, verify } from './index.ts';

const LS = { path: '/usr/bin/ls', digests: [contentDigest('ls')] };
const SH = { path: '/usr/bin/sh', digests: [contentDigest('sh')] };

function sound(): Attestation {
  const machine = new Machine();
  machine.measure('/usr/bin/ls', 'ls');
  return new Attestation(machine, { files: [LS, SH], boot: machine.bootReference() });
}

test('a machine that is what its reference says is trusted, without a finding', () => {
  const attestation = sound();
  const result = attestation.attest();
  assert.deepEqual(
    { verdict: result.verdict, verified: result.verified, findings: result.findings, measured: result.measured },
    { verdict: 'trusted', verified: true, findings: [], measured: 2 },
  );
  assert.equal(result.assurance, 'hardware');
});

test('a SHA-384 bank is verified as well', () => {
  const machine = new Machine({ bank: 'sha384' });
  machine.measure('/usr/bin/ls', 'ls');
  assert.equal(new Attestation(machine, { files: [LS], boot: machine.bootReference() }).attest().verdict, 'trusted');
});

test('the second attestation asks only for what is new, and takes it up', () => {
  const attestation = sound();
  attestation.attest();
  const { state, enrolment, reference, now, machine } = attestation;
  const request = requestFor(state, enrolment, reference, now);
  assert.equal(request.imaOffset, machine.list.length);
  assert.equal(request.bootLog, 'digest');
  machine.measure('/usr/bin/sh', 'sh');
  attestation.wait(60_000);
  const second = attestation.attest();
  assert.deepEqual([second.verdict, second.measured, codes(second)], ['trusted', 3, []]);
  attestation.wait(60_000);
  const third = attestation.attest();
  assert.deepEqual([third.verdict, third.measured, codes(third)], ['trusted', 3, []]);
});

test('entries beyond the quote are not looked at, and wait', () => {
  const attestation = sound();
  const nonce = attestation.nextNonce();
  const quote = attestation.machine.quote(nonce);
  attestation.machine.measure('/tmp/evil', 'evil');
  const first = attestation.verify({ ...attestation.ask(nonce), quote }, nonce);
  assert.deepEqual([first.verdict, first.measured], ['trusted', 2]);
  const second = attestation.attest();
  assert.deepEqual([second.verdict, codes(second)], ['untrusted', ['file.unknown']]);
});

test('an evil entry followed by nothing new is never forgotten, until the reboot', () => {
  const attestation = sound();
  attestation.machine.measure('/tmp/evil', 'evil');
  for (let round = 0; round < 4; round++) {
    const result = attestation.attest();
    assert.deepEqual([result.verdict, codes(result)], ['untrusted', ['file.unknown']]);
    attestation.wait(10_000);
  }
  attestation.machine.boot();
  const waiting = attestation.attest();
  assert.equal(waiting.verdict, undefined);
  assert.equal(attestation.attest().verdict, 'trusted');
});

test('a reboot between challenge and evidence is answered with a request for everything', () => {
  const attestation = sound();
  attestation.attest();
  attestation.machine.boot();
  const result = attestation.attest();
  assert.equal(result.verdict, undefined);
  assert.deepEqual(codes(result), ['evidence.more-needed']);
  const { state, enrolment, reference, now } = attestation;
  const request = requestFor(state, enrolment, reference, now);
  assert.deepEqual([request.imaOffset, request.bootLog], [0, 'bytes']);
  const next = attestation.attest();
  assert.deepEqual([next.verdict, next.measured], ['trusted', 1]);
});

test('a TPM restart that keeps the PCRs goes on; one that clears them replays from zero', () => {
  const attestation = sound();
  attestation.attest();
  attestation.machine.restartCount += 1;
  assert.equal(attestation.attest().verdict, 'trusted');
  const { resetCount } = attestation.machine;
  attestation.machine.boot();
  attestation.machine.resetCount = resetCount;
  attestation.machine.restartCount += 1;
  assert.equal(attestation.attest().verdict, undefined);
  const result = attestation.attest();
  assert.deepEqual([result.verdict, result.measured], ['trusted', 1]);
});

test('a list that lags gets three chances, and then a finding', () => {
  const attestation = sound();
  attestation.attest();
  const before = attestation.state?.boot;
  attestation.machine.measure('/usr/bin/sh', 'sh');
  const short = { imaLog: listPart(Buffer.alloc(0), 0) };
  const held = () =>
    ({ imaLog: { kind: 'part', offset: attestation.state?.boot?.ima.bytes ?? 0, bytes: Buffer.alloc(0) } }) as const;
  assert.equal(attestation.attest(held()).verdict, undefined);
  assert.equal(attestation.attest(held()).verdict, undefined);
  const third = attestation.attest(short);
  assert.deepEqual([third.verdict, codes(third)], ['untrusted', ['ima.list-behind-quote']]);
  assert.deepEqual(attestation.state?.boot, JSON.parse(JSON.stringify(before)));
  const healed = attestation.attest();
  assert.deepEqual([healed.verdict, healed.measured], ['trusted', 3]);
  assert.equal(attestation.state?.behind, 0);
});

test('a withheld tail never hides what PCR 10 has seen', () => {
  const attestation = sound();
  const honest = attestation.machine.list;
  attestation.machine.measure('/tmp/evil', 'evil');
  const hidden = { imaLog: listPart(honest, 0) };
  const results = [attestation.attest(hidden), attestation.attest(hidden), attestation.attest(hidden)];
  assert.deepEqual(
    results.map(({ verdict }) => verdict),
    [undefined, undefined, 'untrusted'],
  );
});

test('evidence in a file has no second chance', () => {
  const attestation = sound();
  const nonce = attestation.nextNonce();
  const evidence = attestation.ask(nonce, { imaLog: listPart(attestation.machine.list.subarray(0, 100), 0) });
  const { enrolment, reference, now } = attestation;
  const result = verify({ evidence, enrolment, reference, state: undefined, nonce, now, lastAttempt: true });
  assert.deepEqual([result.verdict, codes(result)], ['untrusted', ['ima.list-behind-quote']]);
});

test('another reference, deny list or a passed deadline judges everything of this boot again', () => {
  const attestation = sound();
  attestation.attest();
  const boot = attestation.machine.bootReference();
  const asked = () =>
    requestFor(attestation.state, attestation.enrolment, attestation.reference, attestation.now).imaOffset;
  attestation.reference = referenceOf({ files: [LS], boot, deny: [{ path: '/usr/bin/ls', reason: 'CVE-2026-1' }] });
  assert.equal(asked(), 0);
  const denied = attestation.attest();
  assert.deepEqual([denied.verdict, codes(denied)], ['untrusted', ['file.denied']]);
  assert.match(denied.findings[0]?.message ?? '', /CVE-2026-1/);
  attestation.reference = referenceOf({ files: [LS], boot, validUntil: attestation.now + 1000 });
  assert.equal(attestation.attest().verdict, 'trusted');
  attestation.wait(2000);
  assert.equal(asked(), 0);
  const expired = attestation.attest();
  assert.deepEqual([expired.verdict, codes(expired)], ['unknown', ['reference.expired']]);
});

test('a reference that changes after the challenge was made asks for everything first', () => {
  const attestation = sound();
  attestation.attest();
  const nonce = attestation.nextNonce();
  const evidence = attestation.ask(nonce);
  attestation.reference = referenceOf({ files: [], boot: attestation.machine.bootReference() });
  assert.equal(attestation.verify(evidence, nonce).verdict, undefined);
  assert.deepEqual(codes(attestation.attest()), ['file.unknown']);
});

test('without a reference the verdict is unknown, and the quote is still checked', () => {
  const machine = new Machine();
  const attestation = new Attestation(machine);
  const result = attestation.attest();
  assert.deepEqual([result.verdict, result.verified, codes(result)], ['unknown', true, ['reference.none']]);
  assert.equal(attestation.attest({ quote: machine.quote(new Uint8Array(32)) }).verdict, 'untrusted');
});

test('what was never bound, is user-space, self-made, a demonstration or without boot values is at most a warning', () => {
  const machine = new Machine();
  const boot = machine.bootReference();
  const verdictOf = (attestation: Attestation, overrides = {}) => {
    const { verdict, findings } = attestation.attest(overrides);
    return [verdict, ...findings.map(({ code }) => code)];
  };
  assert.deepEqual(verdictOf(new Attestation(machine, {})), ['warning', 'boot.no-reference']);
  assert.deepEqual(verdictOf(new Attestation(machine, { boot, self: true })), ['warning', 'reference.self']);
  const userSpace = new Attestation(machine, { boot }, { measurer: 'user-space' });
  assert.deepEqual(verdictOf(userSpace, { measurer: 'user-space' }), ['warning', 'ima.user-space']);
  const demonstration = new Attestation(machine, { boot }, { assurance: 'demonstration' });
  assert.deepEqual(verdictOf(demonstration), ['warning', 'tpm.demonstration']);
});

test('without an enrolment everything else is checked, and the verdict is unknown', () => {
  const attestation = sound();
  const nonce = attestation.nextNonce();
  const evidence = attestation.ask(nonce);
  const { reference, now } = attestation;
  const input = { evidence, enrolment: undefined, reference, state: undefined, nonce, now };
  const result = verify(input);
  assert.deepEqual([result.verdict, result.verified, codes(result)], ['unknown', true, ['ak.unbound']]);
  const wrong = verify({ ...input, nonce: new Uint8Array(32) });
  assert.deepEqual([wrong.verdict, codes(wrong)], ['untrusted', ['quote.nonce', 'quote.nonce', 'ak.unbound']]);
});

test('a verdict does not depend on anything but its input', () => {
  const attestation = sound();
  const nonce = attestation.nextNonce();
  const evidence = attestation.ask(nonce);
  const { enrolment, reference, now } = attestation;
  const input = { evidence, enrolment, reference, state: undefined, nonce, now };
  assert.deepEqual(verify(input), verify(input));
});
