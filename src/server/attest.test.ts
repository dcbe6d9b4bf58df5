import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attest, enrol, freshChallenge, RefusedError, startService } from '../../test/fleet/service.ts';

const refusedWith = (code: string, status: number) => (error: unknown) =>
  error instanceof RefusedError && error.code === code && error.status === status;

test('each answer carries the next challenge: one round trip an attestation', async () => {
  await using service = await startService();
  const host = service.host({ name: 'steady' });
  host.measure('/usr/bin/true', 'true');
  const { token, challenge } = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  let next = challenge;
  for (let round = 0; round < 5; round++) {
    if (round === 3) host.measure('/usr/bin/false', 'false');
    const answer = await attest(service.client, token, host.evidence(next));
    assert.notEqual(answer.verdict, 'untrusted', JSON.stringify(answer.findings));
    assert.equal(answer.measured, round < 3 ? 2 : 3);
    assert.equal(answer.next.imaOffset, host.imaLog.length);
    assert.equal(answer.intervalMs, 10_000);
    next = answer.next;
  }
});

test('a challenge is answered once', async () => {
  await using service = await startService();
  const host = service.host({ name: 'replayer' });
  host.measure('/usr/bin/true', 'true');
  const { token, challenge } = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  const evidence = host.evidence(challenge);
  await attest(service.client, token, evidence);
  await assert.rejects(attest(service.client, token, evidence), refusedWith('nonce.replayed', 409));
});

test('of a hundred answers to one challenge at once, exactly one counts', async () => {
  await using service = await startService();
  const host = service.host({ name: 'racer' });
  host.measure('/usr/bin/true', 'true');
  const { token, hostId, challenge } = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  const evidence = host.evidence(challenge);
  const settled = await Promise.allSettled(Array.from({ length: 100 }, () => attest(service.client, token, evidence)));
  assert.equal(settled.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const one of settled) {
    if (one.status === 'rejected') assert.ok(refusedWith('nonce.replayed', 409)(one.reason), String(one.reason));
  }
  const viewer = await service.server.bearerToken('viewer', '');
  const { results } = (await service.client.json(`/api/hosts/${hostId}/results`, { token: viewer })) as {
    results: unknown[];
  };
  assert.equal(results.length, 1);
});

test('of two challenges answered at once, the second finds the state changed', async () => {
  await using service = await startService({ store: { commit: { windowMs: 200, groupSize: 1000 } } });
  const host = service.host({ name: 'forked' });
  host.measure('/usr/bin/true', 'true');
  const { token, challenge } = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  const other = await freshChallenge(service.client, token);
  const both = await Promise.allSettled([
    attest(service.client, token, host.evidence(challenge)),
    attest(service.client, token, host.evidence(other)),
  ]);
  const lost = both.filter((one) => one.status === 'rejected');
  assert.equal(lost.length, 1);
  assert.ok(refusedWith('challenge.conflict', 409)(lost[0]?.reason));
});

test('unknown, foreign and expired challenges are told apart', async () => {
  let skew = 0;
  await using service = await startService({ now: () => Date.now() + skew });
  const [first, second] = [service.host({ name: 'first' }), service.host({ name: 'second' })];
  const one = await enrol(service.client, first, await service.server.joinToken({ label: '' }));
  const two = await enrol(service.client, second, await service.server.joinToken({ label: '' }));

  const invented = { ...one.challenge, nonce: Buffer.alloc(32, 7) };
  await assert.rejects(attest(service.client, one.token, first.evidence(invented)), refusedWith('nonce.unknown', 409));
  await assert.rejects(
    attest(service.client, one.token, first.evidence(two.challenge)),
    refusedWith('nonce.foreign', 403),
  );
  skew = 3_600_000;
  await assert.rejects(
    attest(service.client, one.token, first.evidence(one.challenge)),
    refusedWith('nonce.expired', 410),
  );
  skew = 0;
  await attest(service.client, one.token, first.evidence(one.challenge)); // refusals consume nothing
});

test('asking for many challenges fills nothing: the oldest are forgotten', async () => {
  await using service = await startService();
  const host = service.host({ name: 'asker' });
  host.measure('/usr/bin/true', 'true');
  const { token, challenge } = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  let last = challenge;
  for (let i = 0; i < 10; i++) last = await freshChallenge(service.client, token);
  await assert.rejects(attest(service.client, token, host.evidence(challenge)), refusedWith('nonce.unknown', 409));
  await attest(service.client, token, host.evidence(last));
});

test('a quote that another key signed is untrusted, and the host can go on', async () => {
  await using service = await startService();
  const [host, other] = [service.host({ name: 'honest' }), service.host({ name: 'other' })];
  host.measure('/usr/bin/true', 'true');
  const { token, challenge } = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  const forged = { ...host.evidence(challenge), quote: other.evidence(challenge).quote };
  const answer = await attest(service.client, token, forged);
  assert.equal(answer.verdict, 'untrusted');
  assert.match(answer.findings[0]?.code ?? '', /^quote\./);
  const after = await attest(service.client, token, host.evidence(answer.next));
  assert.notEqual(after.verdict, 'untrusted', JSON.stringify(after.findings));
});

test('a host goes silent after three missed intervals, apart from its verdict, and comes back', async () => {
  await using service = await startService({ settings: { intervalMs: 100 } });
  const host = service.host({ name: 'quiet' });
  host.measure('/usr/bin/true', 'true');
  const { token, hostId, challenge } = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  const viewer = await service.server.bearerToken('viewer', '');
  const shown = async () =>
    (await service.client.json(`/api/hosts/${hostId}`, { token: viewer })) as { reachability: string; verdict: string };
  const { next } = await attest(service.client, token, host.evidence(challenge));
  const { verdict } = await shown();
  const until = Date.now() + 5000;
  while ((await shown()).reachability === 'live' && Date.now() < until) await new Promise((r) => setTimeout(r, 20));
  assert.deepEqual({ ...(await shown()) }.reachability, 'silent');
  assert.equal((await shown()).verdict, verdict);
  await attest(service.client, token, host.evidence(next));
  assert.equal((await shown()).reachability, 'live');
});
