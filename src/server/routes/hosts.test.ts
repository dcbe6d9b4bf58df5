import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attest, type Client, enrol, RefusedError, startService } from '../../../test/fleet/service.ts';
import { digest, toHex } from '../../bytes/index.ts';
import type { Evidence } from '../../evidence/index.ts';
import type { ReferenceManifest } from '../../reference/index.ts';

interface Item {
  readonly index: number;
  readonly path: string;
  readonly digest: string;
  readonly judgement: string;
  readonly findings: readonly string[];
}

interface Page {
  readonly total: number;
  readonly items: readonly Item[];
}

const digestOf = (content: string) => `sha256:${toHex(digest('sha256', Buffer.from(content)))}` as const;

function manifest(files: Record<string, string>, pending: Record<string, string> = {}): ReferenceManifest {
  return {
    assayReference: 1,
    name: 'test',
    created: '2026-01-01T00:00:00Z',
    self: false,
    files: Object.entries(files).map(([path, content]) => ({ path, digests: [digestOf(content)] })),
    pending: Object.entries(pending).map(([path, content]) => ({
      path,
      digest: digestOf(content),
      reason: 'unpackaged' as const,
    })),
    deny: [],
  };
}

async function page(client: Client, token: string, hostId: string, query = ''): Promise<Page> {
  return (await client.json(`/api/hosts/${hostId}/measurements${query}`, { token })) as Page;
}

test('measured files come by page and by part of a path, each with its judgement', async () => {
  await using service = await startService({ settings: { defaultReference: 'web1' } });
  const { client, server } = service;
  const admin = await server.bearerToken('admin', '');
  const host = service.host({ name: 'web1' });
  for (let i = 0; i < 1500; i++) host.measure(`/opt/app/file-${i}`, `content ${i}`);
  host.measure('/opt/evil', 'evil');
  const files = Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`/opt/app/file-${i}`, `content ${i}`]));
  await client.json('/api/references/web1', { method: 'PUT', token: admin, body: manifest(files) });
  const { token, hostId, challenge } = await enrol(client, host, await server.joinToken({ label: '' }));
  const { verdict, next } = await attest(client, token, host.evidence(challenge));
  assert.equal(verdict, 'untrusted');

  const first = await page(client, admin, hostId, '?limit=3');
  assert.equal(first.total, 1502);
  assert.deepEqual(
    first.items.map(({ path }) => path),
    ['boot_aggregate', '/opt/app/file-0', '/opt/app/file-1'],
  );
  assert.equal(first.items[1]?.digest, digestOf('content 0'));
  assert.equal(first.items[1]?.judgement, 'matches');
  const last = await page(client, admin, hostId, '?offset=1500&limit=100');
  assert.deepEqual(
    last.items.map(({ index, path, judgement }) => [index, path, judgement]),
    [
      [1500, '/opt/app/file-1499', 'matches'],
      [1501, '/opt/evil', 'finding'],
    ],
  );
  const found = await page(client, admin, hostId, '?search=file-77&limit=5');
  assert.equal(found.total, 11);
  assert.equal(found.items[0]?.path, '/opt/app/file-77');

  host.measure('/opt/app/file-0', 'content 0'); // the list grows: the next page shows it
  await attest(client, token, host.evidence(next));
  assert.equal((await page(client, admin, hostId, '?limit=1')).total, 1503);
});

test('files that wait are approved by a person; the host is judged by it from its next evidence on', async () => {
  await using service = await startService({ settings: { defaultReference: 'web1' } });
  const { client, server } = service;
  const operator = await server.bearerToken('operator', '');
  const host = service.host({ name: 'web1' });
  host.measure('/opt/own*tool', 'mine');
  const reference = manifest({ '/usr/bin/true': 'true' }, { '/opt/own*tool': 'mine', '/opt/other': 'other' });
  await client.json('/api/references/web1', { method: 'PUT', token: operator, body: reference });
  const { token, hostId, challenge } = await enrol(client, host, await server.joinToken({ label: '' }));
  const judged = await attest(client, token, host.evidence(challenge));
  const codes = (findings: readonly { code: string; subject: string }[]) =>
    findings.filter(({ subject }) => subject === '/opt/own*tool').map(({ code }) => code);
  assert.equal(codes(judged.findings).length, 1);

  const approve = (body: unknown) =>
    client.json(`/api/hosts/${hostId}/reference`, { method: 'POST', token: operator, body });
  assert.deepEqual(await approve({ approve: ['/opt/own*tool'] }), { approved: 1 });
  const kept = (await client.json('/api/references/web1', { token: operator })) as ReferenceManifest;
  assert.deepEqual(
    kept.pending.map(({ path }) => path),
    ['/opt/other'],
  );
  let { next } = judged;
  for (let round = 0; round < 3; round++) {
    const answer = await attest(client, token, host.evidence(next));
    next = answer.next;
    if (answer.verdict === undefined) continue;
    assert.deepEqual(codes(answer.findings), []);
    return;
  }
  assert.fail('no verdict came after the approval');
});

test('a manifest that is none is refused with its place; one that does not exist too', async () => {
  await using service = await startService();
  const { client, server } = service;
  const operator = await server.bearerToken('operator', '');
  const put = client.json('/api/references/x', { method: 'PUT', token: operator, body: { assayReference: 1 } });
  await assert.rejects(put, (error: unknown) => error instanceof RefusedError && error.status === 422);
  const get = client.json('/api/references/x', { token: operator });
  await assert.rejects(get, (error: unknown) => error instanceof RefusedError && error.code === 'reference.not-found');
});

test('a host is shown with its verdict, chain of trust and PCRs with their meaning', async () => {
  await using service = await startService();
  const { client, server } = service;
  const viewer = await server.bearerToken('viewer', '');
  const host = service.host({ name: 'web1' });
  const { token, hostId, challenge } = await enrol(client, host, await server.joinToken({ label: '' }));
  await attest(client, token, host.evidence(challenge));
  const shown = (await client.json(`/api/hosts/${hostId}`, { token: viewer })) as {
    asOf: number;
    verdict: string;
    chain: { link: string; state: string }[];
    pcrs: { index: number; value: string; meaning: string }[];
  };
  assert.equal(shown.asOf, challenge.issuedAt);
  assert.deepEqual(
    shown.chain.map(({ link }) => link),
    ['tpm', 'firmware', 'kernel', 'files'],
  );
  assert.equal(shown.chain.find(({ link }) => link === 'firmware')?.state, 'absent');
  assert.equal(shown.pcrs.length, 16);
  assert.equal(shown.pcrs[10]?.value, host.pcr10.toString('hex'));
  assert.match(shown.pcrs[10]?.meaning ?? '', /IMA/);
});

test('PCR values and quote are those of the last accepted evidence: what was rejected is not shown', async () => {
  await using service = await startService();
  const { client, server } = service;
  const viewer = await server.bearerToken('viewer', '');
  const host = service.host({ name: 'web1' });
  const { token, hostId, challenge } = await enrol(client, host, await server.joinToken({ label: '' }));
  const forged = (honest: Evidence): Evidence => {
    const pcrs = { sha256: { ...honest.quote.pcrs.sha256, 7: Buffer.alloc(32, 0xee) } };
    return { ...honest, quote: { ...honest.quote, pcrs } };
  };
  const shown = async () =>
    ((await client.json(`/api/hosts/${hostId}`, { token: viewer })) as { pcrs: { index: number; value: string }[] })
      .pcrs;
  const quote = () => client.send(`/api/hosts/${hostId}/evidence/quote.message`, { token: viewer });

  const rejected = await attest(client, token, forged(host.evidence(challenge)));
  assert.equal(rejected.verdict, 'untrusted');
  assert.deepEqual(await shown(), []);
  assert.equal((await quote()).status, 404);

  const accepted = await attest(client, token, host.evidence(rejected.next));
  const [values, message] = [await shown(), (await quote()).body];
  assert.equal(values[7]?.value, toHex(host.pcr(7)));
  await attest(client, token, forged(host.evidence(accepted.next)));
  assert.deepEqual(await shown(), values);
  assert.deepEqual((await quote()).body, message);
});

test('a host does not choose its reference by the name that it gives itself', async () => {
  await using service = await startService();
  const { client, server } = service;
  const admin = await server.bearerToken('admin', '');
  await client.json('/api/references/web1', { method: 'PUT', token: admin, body: manifest({}) });
  const host = service.host({ name: 'web1' });
  const { token, hostId, challenge } = await enrol(client, host, await server.joinToken({ label: '' }));
  const { findings } = await attest(client, token, host.evidence(challenge));
  assert.ok(findings.some(({ code }) => code === 'reference.none'));
  const shown = (await client.json(`/api/hosts/${hostId}`, { token: admin })) as { referenceId?: string };
  assert.equal(shown.referenceId, undefined);
});
