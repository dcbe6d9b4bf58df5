/** The client's manners: one command in flight, time-outs, retries, a connection that breaks. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { TPM2_GetRandom } from '../commands.ts';
import { TpmError, TpmParseError } from '../errors.ts';
import { errorResponse, marshalResponse } from '../frame.ts';
import { TPM_RC } from '../response-codes.ts';
import { openTransport, parseTpmAddress, type Transport } from '../transport/index.ts';
import { TpmClient } from './client.ts';

const RANDOM = Uint8Array.from({ length: 16 }, (_, i) => i);
const answer = marshalResponse(TPM2_GetRandom, { randomBytes: RANDOM });
const ask = (tpm: TpmClient) => tpm.execute(TPM2_GetRandom, { bytesRequested: 16 });
const isCode = (code: string) => (error: unknown) => error instanceof TpmError && error.code === code;

function transportOf(execute: Transport['execute']): Transport {
  return { description: 'a TPM of this test', execute, close: async () => {} };
}

test('commands go one at a time, in the order in which they were given', async () => {
  let inFlight = 0;
  const order: number[] = [];
  const tpm = new TpmClient(
    transportOf(async (command) => {
      assert.equal(++inFlight, 1);
      order.push(command.at(-1) ?? 0);
      await new Promise((resolve) => setTimeout(resolve, 1));
      inFlight--;
      return answer;
    }),
  );
  const asked = [3, 1, 2].map((bytesRequested) => tpm.execute(TPM2_GetRandom, { bytesRequested }));
  await Promise.all(asked);
  assert.deepEqual(order, [3, 1, 2]);
});

test('a failed command does not stop the next', async () => {
  const answers = [errorResponse(TPM_RC.FAILURE), answer];
  const tpm = new TpmClient(transportOf(async () => answers.shift() ?? answer));
  await assert.rejects(ask(tpm), isCode('tpm.response'));
  assert.deepEqual(new Uint8Array((await ask(tpm)).randomBytes), RANDOM);
});

for (const code of ['RETRY', 'YIELDED', 'TESTING'] as const) {
  test(`TPM_RC_${code} sends the command again`, async () => {
    let commands = 0;
    const tpm = new TpmClient(transportOf(async () => (++commands < 3 ? errorResponse(TPM_RC[code]) : answer)));
    await ask(tpm);
    assert.equal(commands, 3);
  });
}

test('a silent TPM is given up, and nothing more is sent its way', async () => {
  let commands = 0;
  const tpm = new TpmClient(
    transportOf(() => {
      commands++;
      return new Promise(() => {});
    }),
    { timeoutMs: 20 },
  );
  await assert.rejects(ask(tpm), isCode('tpm.timeout'));
  await assert.rejects(ask(tpm), isCode('tpm.timeout'));
  assert.equal(commands, 1, 'the late answer would be taken for the second command’s');
});

test('bytes that are no response are an error with their place', async () => {
  for (const bytes of [answer.subarray(0, 9), answer.subarray(0, 20), Buffer.concat([answer, RANDOM])]) {
    const tpm = new TpmClient(transportOf(async () => bytes));
    await assert.rejects(ask(tpm), TpmParseError);
  }
});

// --- over a socket ----------------------------------------------------------------------------------------------------

async function serve(onCommand: (socket: Socket) => void): Promise<{ server: Server; name: string }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => onCommand(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return { server, name: `swtpm:host=127.0.0.1,port=${address.port}` };
}

async function clientOf(name: string, timeoutMs = 2000): Promise<TpmClient> {
  const address = parseTpmAddress(name);
  assert.ok(address.kind !== 'software');
  return new TpmClient(await openTransport(address), { timeoutMs });
}

test('a response that comes byte by byte is whole', async () => {
  const { server, name } = await serve((socket) => {
    for (const [i, byte] of answer.entries()) setTimeout(() => socket.write(Uint8Array.of(byte)), i);
  });
  const tpm = await clientOf(name);
  assert.deepEqual(new Uint8Array((await ask(tpm)).randomBytes), RANDOM);
  await tpm.close();
  server.close();
});

test('a connection that breaks in a response is told, and stays broken', async () => {
  const { server, name } = await serve((socket) => socket.end(answer.subarray(0, 13)));
  const tpm = await clientOf(name);
  await assert.rejects(ask(tpm), isCode('tpm.transport'));
  await assert.rejects(ask(tpm), isCode('tpm.transport'));
  await tpm.close();
  server.close();
});

test('a response that says 4 GB is refused before anything is kept for it', async () => {
  const { server, name } = await serve((socket) => socket.write(Buffer.from('8001ffffffff00000000', 'hex')));
  const tpm = await clientOf(name);
  await assert.rejects(ask(tpm), isCode('tpm.malformed'));
  await tpm.close();
  server.close();
});

test('a flood that nobody asked for ends the connection', async () => {
  const { server, name } = await serve((socket) => {
    socket.write(answer);
    for (let i = 0; i < 64; i++) socket.write(Buffer.alloc(16 * 1024));
  });
  const tpm = await clientOf(name);
  await ask(tpm);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await assert.rejects(ask(tpm), isCode('tpm.transport'));
  await tpm.close();
  server.close();
});

test('nobody there: told at once, with what to do', async () => {
  const { server, name } = await serve(() => {});
  server.close();
  await once(server, 'close');
  for (const gone of [
    name,
    name.replace('swtpm', 'mssim'),
    'swtpm:path=/nonexistent/socket',
    'device:/nonexistent/tpm',
  ]) {
    await assert.rejects(
      clientOf(gone),
      (error) => error instanceof TpmError && error.code === 'tpm.transport' && !!error.advice,
    );
  }
});
