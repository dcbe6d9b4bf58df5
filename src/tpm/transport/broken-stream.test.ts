import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { TpmError } from '../errors.ts';
import { openMssim } from './mssim.ts';
import { openSwtpm } from './swtpm.ts';
import type { Transport } from './transport.ts';

const COMMAND = Buffer.from('80010000000a0000017c', 'hex');
const SUCCESS = Buffer.from('80010000000a00000000', 'hex');

/** Answers each piece that comes. */
async function answering(answer: (asked: Buffer) => Buffer, port = 0): Promise<{ server: Server; port: number }> {
  const server = createServer((socket: Socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (asked) => socket.write(answer(asked)));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

/** The first answer cannot be followed, and what looks like a good one comes right behind it. */
async function breaksForGood(transport: Transport): Promise<void> {
  await assert.rejects(
    transport.execute(COMMAND),
    (error) => error instanceof TpmError && error.code === 'tpm.malformed',
  );
  for (let i = 0; i < 2; i++) {
    await assert.rejects(
      transport.execute(COMMAND),
      (error) => error instanceof TpmError && error.code === 'tpm.transport' && /\d bytes/.test(error.message),
    );
  }
  await transport.close();
}

for (const size of ['00000009', 'ffffffff']) {
  test(`swtpm: after a response of 0x${size} bytes nothing more is read`, async () => {
    const { server, port } = await answering(() => Buffer.concat([Buffer.from(`8001${size}00000000`, 'hex'), SUCCESS]));
    await breaksForGood(await openSwtpm({ host: '127.0.0.1', port }));
    server.close();
  });
}

test('mssim: after a response of 4 GB nothing more is read', async () => {
  const frame = Buffer.concat([Buffer.from('0000000a', 'hex'), SUCCESS, Buffer.alloc(4)]);
  const command = await answering(() => Buffer.concat([Buffer.from('ffffffff', 'hex'), frame]), 0);
  const platform = await answering((asked) => Buffer.alloc(asked.length), command.port + 1);
  await breaksForGood(await openMssim('127.0.0.1', command.port));
  command.server.close();
  platform.server.close();
});
