/** Hosts whose lists come in parts, through the whole service. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attest, type Client, enrol, type Service, startService } from '../../test/fleet/service.ts';
import type { SimulatedHost } from '../../test/fleet/simulated-host.ts';
import type { Challenge, EvidenceAnswer } from '../evidence/index.ts';

const PART = 300 * 1024;

/** Long names make a long list of few entries. */
function measureMany(host: SimulatedHost, name: string, entries = 400): void {
  for (let index = 0; index < entries; index++) host.measure(`/opt/${'d'.repeat(2000)}/${name}/${index}`, name);
}

async function enrolled(service: Service, host: SimulatedHost) {
  return enrol(service.client, host, await service.server.joinToken({ label: '' }));
}

async function untilVerdict(client: Client, token: string, host: SimulatedHost, first: Challenge) {
  const answers: EvidenceAnswer[] = [];
  for (let next = first; answers.at(-1)?.verdict === undefined && answers.length < 20; ) {
    const answer = await attest(client, token, host.evidence(next));
    answers.push(answer);
    next = answer.next;
  }
  return answers;
}

test('a host attests a list of several parts, each asked for at once', async () => {
  await using service = await startService();
  const host = service.host({ name: 'long' });
  measureMany(host, 'a');
  host.partLimit = PART;
  const { token, hostId, challenge } = await enrolled(service, host);
  const answers = await untilVerdict(service.client, token, host, challenge);
  assert.equal(answers.length, 3);
  for (const { retry, measured, findings } of answers.slice(0, -1)) {
    assert.deepEqual([retry, measured, findings.map(({ code }) => code)], [true, 0, ['evidence.more-needed']]);
  }
  const last = answers.at(-1);
  assert.deepEqual([last?.verdict, last?.measured], ['unknown', 401]);
  assert.equal((await service.server.host(hostId))?.verdict, 'unknown');
});

test('while parts come, the host keeps the verdict that it had', async () => {
  await using service = await startService();
  const host = service.host({ name: 'growing' });
  host.partLimit = PART;
  const { token, hostId, challenge } = await enrolled(service, host);
  const [first] = await untilVerdict(service.client, token, host, challenge);
  assert.ok(first);
  const before = await service.server.host(hostId);
  measureMany(host, 'a');
  const part = await attest(service.client, token, host.evidence(first.next));
  assert.equal(part.verdict, undefined);
  const during = await service.server.host(hostId);
  assert.deepEqual(
    [during?.verdict, during?.asOf, during?.standing],
    [before?.verdict, before?.asOf, before?.standing],
  );
  const [last] = (await untilVerdict(service.client, token, host, part.next)).slice(-1);
  assert.equal(last?.measured, 401);
});

test('all of a list that is stored in several transactions is shown, and goes on', async () => {
  await using service = await startService();
  const host = service.host({ name: 'kept' });
  host.measureMany(Array.from({ length: 5000 }, (_, index) => [`/opt/${'d'.repeat(2000)}/${index}`, 'a']));
  const { token, hostId, challenge } = await enrolled(service, host);
  const { next } = await attest(service.client, token, host.evidence(challenge));
  host.measure('/usr/bin/later', '2');
  await attest(service.client, token, host.evidence(next));
  const viewer = await service.server.bearerToken('viewer', '');
  const path = `/api/hosts/${hostId}/measurements?order=newest&limit=3`;
  const { total, items } = (await service.client.json(path, { token: viewer })) as Listed;
  assert.equal(total, 5002);
  assert.deepEqual(
    items.map(({ index, path: file }) => [index, file.split('/').at(-1)]),
    [
      [5001, 'later'],
      [5000, '4999'],
      [4999, '4998'],
    ],
  );
});

interface Listed {
  readonly total: number;
  readonly items: readonly { readonly index: number; readonly path: string }[];
}

async function listed(service: Service, hostId: string): Promise<Listed> {
  const token = await service.server.bearerToken('viewer', '');
  return (await service.client.json(`/api/hosts/${hostId}/measurements?order=oldest&limit=500`, { token })) as Listed;
}

test('files of an earlier boot are not shown once a list in parts was proven', async () => {
  await using service = await startService();
  const host = service.host({ name: 'rebooted' });
  host.measure('/usr/bin/of-the-first-boot', '1');
  const { token, hostId, challenge } = await enrolled(service, host);
  const [first] = await untilVerdict(service.client, token, host, challenge);
  assert.ok(first);
  assert.equal((await listed(service, hostId)).total, 2);
  host.reboot();
  measureMany(host, 'a');
  host.partLimit = PART;
  const [last] = (await untilVerdict(service.client, token, host, first.next)).slice(-1);
  assert.ok(last?.verdict !== undefined);
  const { items } = await listed(service, hostId);
  assert.ok(!items.some(({ path }) => path.includes('first-boot')));
  host.measure('/usr/bin/later', '2');
  await attest(service.client, token, host.evidence(last.next));
  for (const { index, path } of (await listed(service, hostId)).items) {
    if (path === '/usr/bin/later') assert.equal(index, 401);
  }
});

test('a host that makes progress without end is told to be untrusted after a bounded time', async () => {
  let ahead = 0;
  await using service = await startService({ now: () => Date.now() + ahead });
  const host = service.host({ name: 'endless' });
  const { token, hostId, challenge } = await enrolled(service, host);
  const pretender = service.host({ name: 'pretender' });
  measureMany(pretender, 'a', 150);
  host.measure('/tmp/evil', 'evil');
  let next = challenge;
  for (let round = 0; round < 40; round++) {
    ahead += 70_000; // as late as a challenge allows
    const imaLog = { kind: 'part', offset: next.imaOffset, bytes: pretender.imaLog } as const;
    const answer = await attest(service.client, token, { ...host.evidence(next), imaLog });
    if (answer.verdict !== undefined) break;
    next = answer.next;
  }
  const found = await service.server.host(hostId);
  assert.deepEqual([found?.verdict, found?.standing.map(({ code }) => code)], ['untrusted', ['ima.list-behind-quote']]);
});
