import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Client, enrol, RefusedError, startService } from '../../../test/fleet/service.ts';

const ID = '0'.repeat(32);

/** Every route that is not public, with the weakest role that it lets in. */
const ROUTES = [
  ['GET', '/api/hosts', 'viewer'],
  ['GET', `/api/hosts/${ID}`, 'viewer'],
  ['GET', `/api/hosts/${ID}/results`, 'viewer'],
  ['GET', `/api/hosts/${ID}/measurements`, 'viewer'],
  ['GET', `/api/hosts/${ID}/evidence`, 'viewer'],
  ['GET', `/api/hosts/${ID}/evidence/quote.message`, 'viewer'],
  ['DELETE', `/api/hosts/${ID}`, 'admin'],
  ['POST', `/api/hosts/${ID}/reference`, 'operator'],
  ['GET', '/api/references', 'viewer'],
  ['GET', '/api/references/none', 'viewer'],
  ['PUT', '/api/references/none', 'operator'],
  ['GET', '/api/findings', 'viewer'],
  ['GET', '/api/tokens', 'admin'],
  ['POST', '/api/tokens', 'admin'],
  ['POST', '/api/tokens/join', 'operator'],
  ['DELETE', `/api/tokens/${'0'.repeat(64)}`, 'admin'],
  ['POST', '/api/agent/enrol', 'join'],
  ['POST', '/api/agent/evidence', 'agent'],
  ['POST', '/api/agent/challenge', 'agent'],
] as const;

const RANK = { viewer: 0, operator: 1, admin: 2 } as const;

async function outcome(client: Client, method: string, path: string, token: string | undefined): Promise<number> {
  const body =
    method === 'GET' || method === 'DELETE' ? {} : { body: '{}', headers: { 'content-type': 'application/json' } };
  return (await client.send(path, { method, ...body, ...(token === undefined ? {} : { token }) })).status;
}

test('every route lets in exactly the roles that it names', async () => {
  await using service = await startService();
  const { server, client } = service;
  const { token: agent } = await enrol(client, service.host({ name: 'a' }), await server.joinToken({ label: '' }));
  const tokens = {
    viewer: await server.bearerToken('viewer', ''),
    operator: await server.bearerToken('operator', ''),
    admin: await server.bearerToken('admin', ''),
    agent,
    join: await server.joinToken({ label: '' }),
  };
  for (const [method, path, needs] of ROUTES) {
    assert.equal(await outcome(client, method, path, undefined), 401, `${method} ${path} without a token`);
    assert.equal(await outcome(client, method, path, 'assay_admin_wrong'), 401, `${method} ${path} with a wrong token`);
    for (const role of ['viewer', 'operator', 'admin', 'agent', 'join'] as const) {
      const may = role in RANK && needs in RANK ? RANK[role as 'viewer'] >= RANK[needs as 'viewer'] : role === needs;
      const status = await outcome(client, method, path, tokens[role]);
      assert.equal(status !== 401 && status !== 403, may, `${method} ${path} as ${role}: ${status}`);
    }
  }
});

test('every route of the description is in the table above, or public', async () => {
  await using service = await startService();
  const api = (await service.client.json('/api/openapi.json')) as { openapi: string; paths: Record<string, object> };
  assert.equal(api.openapi, '3.1.0');
  const shape = (path: string) => path.replace(/\{[^}]+\}|0{32,}|none|quote\.message/g, '*');
  const listed = new Set(ROUTES.map(([method, path]) => `${method} ${shape(path)}`));
  const open = ['GET /api/health', 'POST /api/agent/activate', 'GET /api/events'];
  const found = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${shape(path)}`),
  );
  assert.deepEqual(
    found.filter((route) => !listed.has(route) && !open.includes(route)),
    [],
  );
});

test('an agent’s token speaks for its own host alone', async () => {
  await using service = await startService();
  const { server, client } = service;
  const [a, b] = [service.host({ name: 'a' }), service.host({ name: 'b' })];
  const one = await enrol(client, a, await server.joinToken({ label: '' }));
  const two = await enrol(client, b, await server.joinToken({ label: '' }));
  const { attest } = await import('../../../test/fleet/service.ts');
  await assert.rejects(
    attest(client, two.token, a.evidence(one.challenge)),
    (error: unknown) => error instanceof RefusedError && error.code === 'nonce.foreign',
  );
});

test('tokens are stored as their hashes, and withdrawn at once', async () => {
  await using service = await startService();
  const { client, server } = service;
  const admin = await server.bearerToken('admin', 'root');
  const made = (await client.json('/api/tokens', {
    method: 'POST',
    token: admin,
    body: { role: 'viewer', label: 'wall' },
  })) as { token: string };
  const listed = (await client.json('/api/tokens', { token: admin })) as { id: string; label: string }[];
  assert.ok(!JSON.stringify(listed).includes(made.token.slice(13)));
  const wall = listed.find(({ label }) => label === 'wall');
  assert.ok(wall);
  await client.json('/api/hosts', { token: made.token });
  await client.json(`/api/tokens/${wall.id}`, { method: 'DELETE', token: admin });
  assert.equal((await client.send('/api/hosts', { token: made.token })).status, 401);
});

test('the dashboard’s link opens one session, which is a cookie out of scripts’ reach', async () => {
  await using service = await startService();
  const { local } = service;
  const link = new URL((await service.server.dashboardLink()) ?? '');
  const opened = await local.send(link.pathname + link.search);
  assert.equal(opened.status, 200);
  const cookie = opened.headers['set-cookie']?.[0] ?? '';
  assert.match(cookie, /^assay-\d+=assay_session_[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=\d+$/);
  const headers = { cookie: cookie.split(';', 1)[0] ?? '' };
  assert.equal((await local.send('/api/hosts', { headers })).status, 200);
  assert.equal((await local.send('/api/hosts')).status, 401);
  assert.equal((await local.send(link.pathname + link.search)).status, 401);
  const token = headers.cookie.split('=')[1] ?? '';
  assert.equal((await local.send('/api/hosts', { token })).status, 401, 'a session is no bearer token');
  assert.equal((await service.client.send('/api/hosts', { headers })).status, 401, 'TLS listeners read no cookies');
});

test('a link that is used, expired or none is a page for people, with the way to a new one', async () => {
  let late = 0;
  await using service = await startService({ now: () => Date.now() + late });
  const { local, server } = service;
  const used = new URL((await server.dashboardLink()) ?? '');
  const expired = new URL((await server.dashboardLink()) ?? '');
  await local.send(used.pathname + used.search);
  late = 10 * 60_000 + 1;
  const tries = [
    [used.search, 'token.invalid'],
    [expired.search, 'token.invalid'],
    ['?token=<script>x</script>', 'token.invalid'],
    ['', 'token.invalid'],
  ] as const;
  for (const [search, code] of tries) {
    const { status, headers, body } = await local.send(`/enter${search}`);
    const page = body.toString();
    assert.equal(status, 401);
    assert.equal(headers['content-type'], 'text/html; charset=utf-8');
    assert.match(
      String(headers['content-security-policy']),
      /^default-src 'none'; script-src 'self'; style-src 'self';/,
    );
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['set-cookie'], undefined);
    assert.match(page, /assay server link --data DIR/);
    assert.ok(page.includes(code) && !page.includes('<script'), page);
  }
  const twice = new URL((await server.dashboardLink()) ?? '');
  await local.send(twice.pathname + twice.search);
  const again = await local.send(twice.pathname + twice.search);
  assert.match(again.body.toString(), /The link was for one use and has been used\..*token\.used/s);
});

test('a foreign Host or Origin is refused on the dashboard’s listener, with a valid cookie too', async () => {
  await using service = await startService();
  const { local } = service;
  const { port } = new URL(local.url);
  const link = new URL((await service.server.dashboardLink()) ?? '');
  const cookie = (await local.send(link.pathname + link.search)).headers['set-cookie']?.[0]?.split(';', 1)[0] ?? '';
  const ask = async (headers: Record<string, string>, method = 'GET', path = '/api/hosts') =>
    (await local.send(path, { method, headers: { cookie, ...headers } })).status;
  assert.equal(await ask({ host: `evil.example:${port}` }), 421);
  assert.equal(await ask({ host: 'evil.example' }), 421);
  assert.equal(await ask({ host: `127.0.0.1:${Number(port) + 1}` }), 421);
  assert.equal(await ask({ host: `evil.example:${port}` }, 'GET', '/enter?token=x'), 421);
  assert.equal(await ask({ origin: 'http://evil.example' }), 403);
  assert.equal(await ask({ origin: 'null' }), 403);
  assert.equal(await ask({ 'sec-fetch-site': 'cross-site' }), 403);
  assert.equal(await ask({}, 'POST', '/api/tokens/join'), 403, 'a change must name its origin');
  assert.equal(await ask({ origin: `http://127.0.0.1:${port}` }, 'POST', '/api/tokens/join'), 200);
  assert.equal(
    await ask({ host: `localhost:${port}`, origin: `http://localhost:${port}` }, 'POST', '/api/tokens/join'),
    200,
  );
});

test('agents find no way in over plain HTTP', async () => {
  await using service = await startService();
  const join = await service.server.joinToken({ label: '' });
  assert.equal((await service.local.send('/api/agent/enrol', { method: 'POST', token: join })).status, 404);
});
