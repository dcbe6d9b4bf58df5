import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { whenClosed } from './when-closed.ts';

test('a response is over when its client goes: said afterwards, and to who asks later, once each', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const [, response] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
  const say = t.mock.fn();
  whenClosed(response, say);
  assert.equal(say.mock.callCount(), 0);
  const closed = once(response, 'close');
  socket.resetAndDestroy();
  await closed;
  assert.equal(say.mock.callCount(), 1);
  whenClosed(response, say);
  assert.equal(say.mock.callCount(), 2);
});
