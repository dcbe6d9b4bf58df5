import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
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

interface Sending {
  readonly socket: TLSSocket;
  /** All that the server says until it hangs up. */
  readonly answer: Promise<string>;
}

/** Evidence of which `sent` bytes come at once, and no more unless the test writes them. */
async function beginBody(service: Service, token: string, announced: number, sent: number): Promise<Sending> {
  const { port } = new URL(service.client.url);
  const socket = connectTls({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false });
  let said = '';
  socket.on('data', (part: Buffer) => (said += part.toString('latin1')));
  socket.on('error', () => undefined);
  const answer = once(socket, 'close').then(() => said);
  await once(socket, 'secureConnect');
  socket.write(
    `POST /api/agent/evidence HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/cbor\r\nContent-Length: ${announced}\r\n\r\n`,
  );
  const body = Buffer.alloc(sent);
  await new Promise((resolve) => socket.write(body, resolve));
  return { socket, answer };
}

const MIB = 1024 * 1024;

async function sendJunk(service: Service, token: string, bytes: number) {
  return service.client.send('/api/agent/evidence', {
    method: 'POST',
    token,
    headers: CBOR,
    body: new Uint8Array(bytes),
  });
}

test('what stalled requests announce takes nothing from other hosts, and little from their own', async () => {
  await using service = await startService();
  const hosts = await Promise.all(['a', 'b', 'c'].map((name) => enrolled(service, name)));
  const [one, two, other] = hosts.map(({ token }) => token);
  assert.ok(one && two && other);
  const stalled: Sending[] = [];
  for (const token of [one, one, two, two]) stalled.push(await beginBody(service, token, 64 * MIB, 1000));
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal((await sendJunk(service, other, 2 * MIB)).status, 400, 'it was received, and is no evidence');
  assert.equal((await sendJunk(service, one, 100_000)).status, 400);
  for (const { socket } of stalled) socket.destroy();
});

test('a host sends one large message at a time; its small ones and other hosts’ large ones come beside it', async () => {
  await using service = await startService();
  const { token } = await enrolled(service, 'greedy');
  const { token: modest } = await enrolled(service, 'modest');
  const first = await beginBody(service, token, 8 * MIB, 1 * MIB);
  let second = await sendJunk(service, token, 1 * MIB);
  for (let i = 0; i < 50 && second.status === 400; i++) second = await sendJunk(service, token, 1 * MIB); // the first was not there yet
  assert.equal(second.status, 429);
  assert.equal(JSON.parse(second.body.toString()).code, 'rate.limited');
  assert.ok(Number(second.headers['retry-after']) > 0);
  assert.equal((await sendJunk(service, token, 100_000)).status, 400);
  assert.equal((await sendJunk(service, modest, 1 * MIB)).status, 400);
  first.socket.end(Buffer.alloc(7 * MIB));
  assert.match(await first.answer, /^HTTP\/1\.1 400 /);
  assert.equal((await sendJunk(service, token, 1 * MIB)).status, 400);
});

test('a body that trickles is cut with a code', async () => {
  await using service = await startService();
  const { token } = await enrolled(service);
  const { socket, answer } = await beginBody(service, token, 1 * MIB, 1000);
  const drip = setInterval(() => socket.write('x'), 200);
  const text = await answer;
  clearInterval(drip);
  assert.match(text, /^HTTP\/1\.1 408 /);
  assert.match(text, /"code":"request\.too-slow"/);
});

test('a request that is given up gives back what it held', async () => {
  await using service = await startService({ settings: { maxEvidenceBytes: 8 * MIB } });
  const { token } = await enrolled(service);
  for (const sent of [200 * 1024, 1 * MIB]) {
    for (let i = 0; i < 6; i++) {
      const { socket, answer } = await beginBody(service, token, 2 * MIB, sent);
      socket.destroy();
      assert.equal(await answer, '');
    }
  }
  let last = await sendJunk(service, token, 300 * 1024);
  for (let i = 0; i < 50 && last.status === 429; i++) last = await sendJunk(service, token, 300 * 1024); // the end is on its way
  assert.equal(last.status, 400);
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
