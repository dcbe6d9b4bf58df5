import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { attest, enrol, type Service, startService } from '../../../test/fleet/service.ts';

interface Event {
  readonly id: string | undefined;
  readonly kind: string;
  readonly data: Record<string, unknown>;
}

/** Reads events until `enough` says so, then hangs up. */
function listen(
  service: Service,
  token: string,
  lastEventId: string | undefined,
  enough: (events: Event[]) => boolean,
): Promise<Event[]> {
  return new Promise((resolve, reject) => {
    const resume = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    const headers = { authorization: `Bearer ${token}`, ...resume };
    const sent = request(`${service.local.url}/api/events`, { headers }, (response) => {
      assert.equal(response.headers['content-type'], 'text/event-stream');
      let text = '';
      const timer = setTimeout(() => reject(new Error(`not enough events came: ${text}`)), 5000);
      response.on('data', (part: Buffer) => {
        text += part.toString('utf8');
        const events = parse(text);
        if (!enough(events)) return;
        clearTimeout(timer);
        sent.destroy();
        resolve(events);
      });
    });
    sent.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET') reject(error);
    });
    sent.end();
  });
}

function parse(text: string): Event[] {
  const blocks = text.split('\n\n').slice(0, -1);
  return blocks.flatMap((block) => {
    const field = (name: string) =>
      block
        .split('\n')
        .find((line) => line.startsWith(`${name}: `))
        ?.slice(name.length + 2);
    const kind = field('event');
    return kind === undefined ? [] : [{ id: field('id'), kind, data: JSON.parse(field('data') ?? '{}') }];
  });
}

const kinds = (events: Event[]) => events.filter(({ kind }) => kind !== 'seen').map(({ kind }) => kind);

test('a verdict is told live; one who comes back gets what it missed, once', async () => {
  await using service = await startService();
  const { server, client } = service;
  const viewer = await server.bearerToken('viewer', '');
  const first = listen(service, viewer, '0', (events) => kinds(events).length >= 2);
  const host = service.host({ name: 'web1' });
  const { token, challenge, hostId } = await enrol(client, host, await server.joinToken({ label: '' }));
  const { next } = await attest(client, token, host.evidence(challenge));
  const seen = await first;
  assert.deepEqual(kinds(seen), ['enrolled', 'verdict']);
  assert.equal(seen[0]?.data.hostId, hostId);

  const other = service.host({ name: 'web2' });
  const forged = { ...host.evidence(next), quote: other.evidence(next).quote };
  await attest(client, token, forged); // nobody listens now
  const last = seen.findLast(({ id }) => id !== undefined)?.id;
  const [missed] = await listen(service, viewer, last, (events) => kinds(events).length >= 1);
  assert.equal(missed?.kind, 'verdict');
  assert.match(JSON.stringify(missed?.data.detail), /"verdict":"untrusted"/);
});

test('one who was away too long, or names an event of another store, is told to read anew', async () => {
  await using service = await startService();
  const viewer = await service.server.bearerToken('viewer', '');
  const [event] = await listen(service, viewer, '123456', (events) => events.length > 0);
  assert.equal(event?.kind, 'reset');
});

test('evidence that changes nothing is no event, and is seen all the same', async () => {
  await using service = await startService();
  const { server, client } = service;
  const host = service.host({ name: 'web1' });
  const { token, challenge } = await enrol(client, host, await server.joinToken({ label: '' }));
  const { next } = await attest(client, token, host.evidence(challenge));
  const viewer = await server.bearerToken('viewer', '');
  const events = listen(service, viewer, undefined, (all) => all.some(({ kind }) => kind === 'seen'));
  await new Promise((resolve) => setTimeout(resolve, 200));
  await attest(client, token, host.evidence(next));
  assert.deepEqual(kinds(await events), []);
});

interface OpenStream {
  readonly status: number;
  readonly text: () => string;
  close(): void;
}

/** An answer's head has come; a stream stays open. */
function openStream(service: Service, token: string): Promise<OpenStream> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    const sent = request(`${service.local.url}/api/events`, { headers, agent: false }, (response) => {
      let text = '';
      response.on('data', (part: Buffer) => (text += part.toString('utf8')));
      response.on('error', () => undefined);
      const opened = { status: response.statusCode ?? 0, text: () => text, close: () => void sent.destroy() };
      if (opened.status === 200) resolve(opened);
      else response.once('end', () => resolve(opened));
    });
    sent.on('error', reject);
    sent.end();
  });
}

test('a token has eight streams, asked for one after the other or all at once, and another token its own', async () => {
  await using service = await startService();
  const viewer = await service.server.bearerToken('viewer', '');
  const opened = await Promise.all(Array.from({ length: 12 }, () => openStream(service, viewer)));
  const [refused, ...others] = opened.filter(({ status }) => status !== 200);
  assert.equal(opened.length - others.length - 1, 8);
  assert.equal(refused?.status, 429);
  assert.match(
    refused.text(),
    /"code":"rate\.limited","message":"this token or session has 8 streams open; close one"/,
  );
  assert.equal(
    (await service.client.send('/api/events', { token: viewer })).status,
    429,
    'over TLS it is the same token',
  );
  const other = await openStream(service, await service.server.bearerToken('viewer', ''));
  assert.equal(other.status, 200);

  opened.find(({ status }) => status === 200)?.close();
  let again = await openStream(service, viewer);
  for (let i = 0; i < 50 && again.status === 429; i++) again = await openStream(service, viewer); // the end is on its way
  assert.equal(again.status, 200);
  for (const stream of [...opened, other, again]) stream.close();
});

test('streams whose reader goes before they have begun are not counted on', async () => {
  await using service = await startService();
  const token = await service.server.bearerToken('viewer', '');
  const port = Number(new URL(service.local.url).port);
  for (let i = 0; i < 20; i++) {
    const socket = connect(port, '127.0.0.1');
    const text = `GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\n\r\n`;
    await new Promise<void>((resolve) => socket.write(text, () => resolve()));
    if (i % 2 === 0) socket.resetAndDestroy();
    else socket.destroy();
  }
  const opened: OpenStream[] = [];
  for (let i = 0; i < 100 && opened.length < 8; i++) {
    const stream = await openStream(service, token);
    if (stream.status === 200) opened.push(stream);
  }
  assert.equal(opened.length, 8);
  for (const stream of opened) stream.close();
});
