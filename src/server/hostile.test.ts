import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import fc from 'fast-check';
import { attest, enrol, freshChallenge, type Service, startService } from '../../test/fleet/service.ts';
import { EvidenceAnswerCodec, EvidenceCodec } from '../evidence/index.ts';

async function enrolled(service: Service, name = 'hostile') {
  const host = service.host({ name });
  const answer = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  return { host, ...answer };
}

const CBOR = { 'content-type': 'application/cbor' };

test('any bytes get a refusal with a code or a judgement, and the server goes on', async () => {
  await using service = await startService();
  const { token, host, challenge } = await enrolled(service);
  const good = EvidenceCodec.encode(host.evidence(challenge));
  const mutated = fc
    .tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(good.length))
    .map(([at, flip, cut]) =>
      Buffer.from(good.map((byte, index) => (index === at ? byte ^ flip : byte)).subarray(0, cut)),
    );
  const paths = fc.constantFrom('/api/agent/evidence', '/api/agent/activate');
  await fc.assert(
    fc.asyncProperty(paths, fc.oneof(fc.uint8Array({ maxLength: 512 }), mutated), async (path, body) => {
      const { status, body: text } = await service.client.send(path, { method: 'POST', token, headers: CBOR, body });
      if (status === 200) {
        // Well-formed in spite of the flipped byte: it was judged, and nothing is trusted without a reference.
        assert.notEqual(EvidenceAnswerCodec.decode(text).verdict, 'trusted');
        return;
      }
      assert.ok(status >= 400 && status < 500, `${status} ${text}`);
      const refused = JSON.parse(text.toString()) as Record<string, unknown>;
      assert.match(String(refused.code), /^[a-z]+\.[a-z-]+$/);
      assert.equal(typeof refused.message, 'string');
    }),
    { numRuns: 200 },
  );
  const answer = await attest(service.client, token, host.evidence(await freshChallenge(service.client, token)));
  assert.notEqual(answer.verdict, 'untrusted');
});

test('a body that announces too much is refused unread', async () => {
  await using service = await startService({ settings: { maxEvidenceBytes: 1024 * 1024 } });
  const { token } = await enrolled(service);
  const head = [
    'POST /api/agent/evidence HTTP/1.1',
    'Host: x',
    `Authorization: Bearer ${token}`,
    'Content-Type: application/cbor',
    'Content-Length: 4294967296',
    '\r\n',
  ].join('\r\n');
  const answer = await rawTls(service, head);
  assert.match(answer, /^HTTP\/1\.1 413 /);
});

test('a chunked body stops at the bound', async () => {
  await using service = await startService({ settings: { maxEvidenceBytes: 64 * 1024 } });
  const { token } = await enrolled(service);
  const head = `POST /api/agent/evidence HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/cbor\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
  assert.match(await rawTls(service, head + chunk + chunk), /^HTTP\/1\.1 413 /);
});

function rawTls(service: Service, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      port: Number(new URL(service.client.url).port),
      host: '127.0.0.1',
      rejectUnauthorized: false,
    });
    socket.once('secureConnect', () => socket.write(text));
    socket.once('data', (data) => {
      resolve(data.toString('latin1'));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

test('a host that sends too much waits; another host does not', async () => {
  await using service = await startService({ settings: { maxEvidenceBytes: 256 * 1024 } });
  const greedy = await enrolled(service, 'greedy');
  const modest = await enrolled(service, 'modest');
  const junk = new Uint8Array(200 * 1024);
  const statuses: number[] = [];
  for (let i = 0; i < 6; i++) {
    const sending = { method: 'POST', token: greedy.token, headers: CBOR, body: junk };
    statuses.push((await service.client.send('/api/agent/evidence', sending)).status);
  }
  assert.ok(statuses.includes(400) && statuses.includes(429), String(statuses));
  await attest(service.client, modest.token, modest.host.evidence(modest.challenge));
});

test('requests beyond the rate are refused with a time to wait', async () => {
  await using service = await startService({ settings: { requestsPerSecond: 1 } });
  const viewer = await service.server.bearerToken('viewer', '');
  const answers = [];
  for (let i = 0; i < 15; i++) answers.push(await service.client.send('/api/hosts', { token: viewer }));
  const refused = answers.filter(({ status }) => status === 429);
  assert.equal(refused.length, 5);
  assert.ok(Number(refused[0]?.headers['retry-after']) > 0);
  assert.equal(JSON.parse(refused[0]?.body.toString() ?? '').code, 'rate.limited');
});

test('slow clients are cut off while others are served', async () => {
  await using service = await startService();
  const port = Number(new URL(service.local.url).port);
  const slow = Array.from({ length: 50 }, () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    const drip = setInterval(() => socket.write('X'), 1000);
    socket.write('GET /api/health HTTP/1.1\r\nHost: ');
    return new Promise<number>((resolve) => {
      const began = Date.now();
      socket.once('close', () => {
        clearInterval(drip);
        resolve(Date.now() - began);
      });
      socket.resume();
    });
  });
  assert.equal((await service.local.send('/api/health')).status, 200);
  const times = await Promise.all(slow);
  assert.ok(Math.max(...times) < 15_000, `the last was cut off after ${Math.max(...times)} ms`);
});

test('stopping finishes what is under way and closes streams', async () => {
  const service = await startService({ store: { commit: { windowMs: 300, groupSize: 1000 } } });
  try {
    const { token, host, challenge } = await enrolled(service);
    const viewer = await service.server.bearerToken('viewer', '');
    const stream = service.client.send('/api/events', { token: viewer });
    const underWay = attest(service.client, token, host.evidence(challenge));
    await new Promise((resolve) => setTimeout(resolve, 100)); // it waits for its commit now
    await service.server.stop();
    assert.ok((await underWay).verdict);
    assert.equal((await stream).status, 200);
  } finally {
    await service[Symbol.asyncDispose]();
  }
});
