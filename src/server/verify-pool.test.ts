import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { testAuthority } from '../../test/fleet/authority.ts';
import { JUDGEMENT, ordering } from '../../test/fleet/obedient-judgement.ts';
import { attest, enrol, RefusedError, startService } from '../../test/fleet/service.ts';
import { SimulatedHost } from '../../test/fleet/simulated-host.ts';
import type { CompiledReference } from '../reference/index.ts';
import type { Enrolment, VerifyInput } from '../verify/index.ts';
import { ServerError } from './error.ts';
import { VerifyPool } from './verify-pool.ts';

const authority = testAuthority('Test TPM maker');

/** Long names make a long list of few entries. */
function longList(host: SimulatedHost): void {
  host.measureMany(Array.from({ length: 200 }, (_, index) => [`/opt/${'d'.repeat(2000)}/${index}`, `${index}`]));
}

function inputOf(parts: { readonly isLong?: boolean; readonly reference?: CompiledReference } = {}): VerifyInput {
  const host = new SimulatedHost({ name: 'host', authority });
  if (parts.isLong !== false) longList(host);
  const selection = { bank: 'sha256', pcrs: Array.from({ length: 11 }, (_, index) => index) } as const;
  const nonce = Buffer.alloc(32, 1);
  const enrolment: Enrolment = {
    hostId: 'host',
    akPublic: host.akPublic,
    selection,
    measurer: 'kernel',
    assurance: 'hardware',
  };
  const asked = JUDGEMENT.requestFor(undefined, enrolment, undefined, 0);
  const evidence = host.evidence({ ...asked, nonce, issuedAt: 0, expiresAt: 1 });
  return { evidence, enrolment, reference: parts.reference, state: undefined, nonce, now: 1_795_000_000_000 };
}

function reference(name: string): CompiledReference {
  const files = [{ path: '/usr/bin/ls', digests: [`sha256:${'11'.repeat(32)}` as const] }];
  const created = '2026-11-23T00:00:00Z';
  return JUDGEMENT.compileReference({
    assayReference: 1,
    name,
    created,
    self: false,
    files,
    pending: [],
    deny: [],
  });
}

function ordered(order: Parameters<typeof ordering>[1]): VerifyInput {
  const input = inputOf();
  return { ...input, evidence: ordering(input.evidence, order) };
}

function opened(t: TestContext, options: { threads?: number; maxWaiting?: number } = {}): VerifyPool {
  const pool = new VerifyPool({ judgement: JUDGEMENT, threads: 1, ...options });
  t.after(() => pool.close());
  return pool;
}

/** A file that is not there yet; `open` makes it. `begun` waits until a thread waits for it. */
function gate(t: TestContext): { readonly path: string; open(): void; begun(): Promise<void> } {
  const folder = mkdtempSync(join(tmpdir(), 'assay-gate-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'open');
  return {
    path,
    open: () => writeFileSync(path, ''),
    async begun() {
      while (!existsSync(`${path}.begun`)) await delay(5);
    },
  };
}

const refusedAs = (code: string) => (error: unknown) => error instanceof ServerError && error.code === code;

test('a thread says what the event loop says, with the list given back', async (t) => {
  const pool = opened(t);
  for (const each of [undefined, reference('a'), reference('b'), undefined]) {
    const input = inputOf(each === undefined ? {} : { reference: each });
    const { imaLog } = input.evidence;
    const list = imaLog.kind === 'part' ? Buffer.from(imaLog.bytes) : undefined;
    const expected = JUDGEMENT.verify(input);
    const { result, evidence } = await pool.verify('host', input);
    assert.deepEqual(result, expected);
    assert.ok(evidence.imaLog.kind === 'part' && list?.equals(evidence.imaLog.bytes));
  }
});

test('short lists stay in the event loop', async (t) => {
  const pool = opened(t);
  const input = inputOf({ isLong: false });
  const { result } = await pool.verify('host', { ...input, evidence: ordering(input.evidence, 'end') });
  assert.equal(result.measured, 1);
});

test('a thread that dies gives a typed error, and another takes what waits', async (t) => {
  const pool = opened(t);
  const dying = pool.verify('a', ordered('end'));
  const waiting = pool.verify('b', inputOf());
  await assert.rejects(dying, refusedAs('server.verifier-died'));
  assert.equal((await waiting).result.measured, 201);
  assert.equal((await pool.verify('a', inputOf())).result.measured, 201);
});

test('a verifier that throws is told of, and its thread goes on', async (t) => {
  const pool = opened(t);
  await assert.rejects(pool.verify('a', ordered('throw')), { message: 'ordered to throw' });
  assert.equal((await pool.verify('a', inputOf())).result.measured, 201);
});

test('the queue is bounded, and a host has one place in it', async (t) => {
  const pool = opened(t, { maxWaiting: 1 });
  const { path, open } = gate(t);
  const first = pool.verify('a', ordered({ waitFor: path }));
  const second = pool.verify('b', inputOf());
  await assert.rejects(pool.verify('a', inputOf()), refusedAs('server.busy'));
  await assert.rejects(pool.verify('c', inputOf()), refusedAs('server.busy'));
  open();
  assert.deepEqual([(await first).result.measured, (await second).result.measured], [201, 201]);
  assert.equal((await pool.verify('c', inputOf())).result.measured, 201);
});

test('who still waits when the pool closes is told that the server stops', async (t) => {
  const pool = opened(t);
  const running = pool.verify('a', ordered({ waitFor: gate(t).path }));
  const waiting = pool.verify('b', inputOf());
  const both = Promise.all([running, waiting].map((each) => assert.rejects(each, refusedAs('server.stopping'))));
  await pool.close();
  await both;
  await assert.rejects(pool.verify('c', inputOf()), refusedAs('server.stopping'));
});

test('while a long list is verified, another host gets its verdict', async (t) => {
  await using service = await startService({ judgement: JUDGEMENT });
  const { path, open, begun } = gate(t);
  const long = service.host({ name: 'long' });
  longList(long);
  const short = service.host({ name: 'short' });
  const token = () => service.server.joinToken({ label: '' });
  const one = await enrol(service.client, long, await token());
  const other = await enrol(service.client, short, await token());
  let isVerified = false;
  const evidence = ordering(long.evidence(one.challenge), { waitFor: path });
  const waiting = attest(service.client, one.token, evidence).finally(() => {
    isVerified = true;
  });
  await begun();
  const answer = await attest(service.client, other.token, short.evidence(other.challenge));
  assert.deepEqual([answer.measured, isVerified], [1, false]);
  open();
  assert.equal((await waiting).measured, 201);
});

test('a host whose verification died attests with the same challenge again', async () => {
  await using service = await startService({ judgement: JUDGEMENT });
  const host = service.host({ name: 'unlucky' });
  longList(host);
  const { token, challenge } = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  await assert.rejects(attest(service.client, token, ordering(host.evidence(challenge), 'end')), (error: unknown) => {
    return error instanceof RefusedError && error.code === 'server.verifier-died' && error.status === 503;
  });
  assert.equal((await attest(service.client, token, host.evidence(challenge))).measured, 201);
});

test('a server that stops finishes the list that is being verified', async (t) => {
  await using service = await startService({ judgement: JUDGEMENT });
  const { path, open, begun } = gate(t);
  const host = service.host({ name: 'late' });
  longList(host);
  const { token, challenge } = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  const evidence = ordering(host.evidence(challenge), { waitFor: path });
  const answered = attest(service.client, token, evidence);
  await begun();
  const stopped = service.server.stop();
  open();
  assert.equal((await answered).measured, 201);
  await stopped;
});
