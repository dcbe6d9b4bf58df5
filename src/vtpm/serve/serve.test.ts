import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { VtpmError } from '../error.ts';
import { type ServableTpm, type ServedTpm, type ServeOptions, serveTpm } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'assay-serve-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const RESPONSE = Buffer.from('80010000000a00000000', 'hex');
/** TPM2_GetTestResult, all header. */
const COMMAND = Buffer.from('80010000000a0000017c', 'hex');

/** Keeps what arrives, and answers success to all. */
function recordingTpm(arrived: Buffer[] = []): ServableTpm {
  return {
    execute(command) {
      arrived.push(Buffer.from(command));
      return RESPONSE;
    },
    powerOn: () => undefined,
    hashStart: () => undefined,
    hashData: () => undefined,
    hashEnd: () => undefined,
    isEstablished: false,
    resetEstablished: () => false,
  };
}

const isRefusedAddress = (path: string) => (error: unknown) =>
  error instanceof VtpmError && error.code === 'vtpm.address' && error.message.includes(path) && error.exitCode === 2;

const serveAt = (path: string): Promise<ServedTpm> => serveTpm(recordingTpm(), { protocol: 'swtpm', unix: path });

/** Everything that comes until the other side ends. */
async function received(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

async function withServed(
  protocol: ServeOptions['protocol'],
  use: (port: number, arrived: readonly Buffer[]) => Promise<void>,
): Promise<void> {
  const arrived: Buffer[] = [];
  const served = await serveTpm(recordingTpm(arrived), { protocol, tcp: { port: 0 } });
  try {
    await use(Number(/port=(\d+)/.exec(served.address)?.[1]), arrived);
  } finally {
    await served.close();
  }
}

for (const suffix of ['', '.ctrl']) {
  test(`what is no socket at PATH${suffix} is left alone, and named`, async () => {
    const path = join(folder, `file${suffix}`);
    const taken = `${path}${suffix}`;
    writeFileSync(taken, 'precious');
    await assert.rejects(serveAt(path), isRefusedAddress(taken));
    assert.equal(readFileSync(taken, 'utf8'), 'precious');
    rmSync(taken);

    mkdirSync(taken);
    await assert.rejects(serveAt(path), isRefusedAddress(taken));
    rmSync(taken, { recursive: true });

    symlinkSync(join(folder, 'elsewhere'), taken);
    await assert.rejects(serveAt(path), isRefusedAddress(taken));
    rmSync(taken);
    await (await serveAt(path)).close(); // and nothing of the refused attempts is in the way
  });

  test(`a socket at PATH${suffix} on which somebody answers stays`, async () => {
    const path = join(folder, `busy${suffix}`);
    const taken = `${path}${suffix}`;
    const other = createServer().listen(taken);
    await once(other, 'listening');
    await assert.rejects(serveAt(path), isRefusedAddress(taken));
    const socket = connect(taken);
    await once(socket, 'connect');
    socket.destroy();
    await new Promise((resolve) => other.close(resolve));
  });
}

test('a socket that a killed process left is taken over', async () => {
  const path = join(folder, 'left');
  for (const taken of [path, `${path}.ctrl`]) {
    // Closing removes the file of the path that was listened on: another name for the same socket stays
    const server = createServer().listen(`${taken}.first`);
    await once(server, 'listening');
    linkSync(`${taken}.first`, taken);
    await new Promise((resolve) => server.close(resolve));
    assert.ok(existsSync(taken));
  }
  const served = await serveAt(path);
  const socket = connect(path);
  socket.end(COMMAND);
  assert.deepEqual(await received(socket), RESPONSE);
  await served.close();
});

test('commands in one-byte pieces, and two in one piece, are answered each', async () => {
  await withServed('swtpm', async (port, arrived) => {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    for (const byte of COMMAND) socket.write(Buffer.of(byte));
    socket.end(Buffer.concat([COMMAND, COMMAND]));
    assert.deepEqual(await received(socket), Buffer.concat([RESPONSE, RESPONSE, RESPONSE]));
    assert.deepEqual(arrived, [COMMAND, COMMAND, COMMAND]);
  });
});

test('half a header reaches no TPM, and others are served beside it', async () => {
  await withServed('swtpm', async (port, arrived) => {
    const half = connect(port, '127.0.0.1');
    half.write(COMMAND.subarray(0, 5));
    const whole = connect(port, '127.0.0.1');
    whole.end(COMMAND);
    assert.deepEqual(await received(whole), RESPONSE);
    half.end();
    assert.equal((await received(half)).length, 0);
    assert.deepEqual(arrived, [COMMAND]);
  });
});

test('a size of 4 GB ends the connection, though its peer keeps it open', async () => {
  const announced = Buffer.from('8001ffffffff0000017c', 'hex');
  await withServed('swtpm', async (port, arrived) => {
    const socket = connect(port, '127.0.0.1');
    socket.write(announced);
    assert.deepEqual(await received(socket), RESPONSE);
    assert.deepEqual(arrived, [announced]); // which a TPM answers with TPM_RC_COMMAND_SIZE
  });
  await withServed('mssim', async (port, arrived) => {
    const socket = connect(port, '127.0.0.1');
    socket.write(Buffer.from('0000000800ffffffff', 'hex'));
    assert.equal((await received(socket)).length, 0);
    assert.deepEqual(arrived, []);
  });
});

test('more connections than a TPM has use for are dropped, and room is made as others end', async () => {
  await withServed('swtpm', async (port) => {
    const sockets = Array.from({ length: 64 }, () => connect(port, '127.0.0.1'));
    for (const socket of sockets) {
      socket.write(COMMAND);
      await once(socket, 'data');
    }
    const tooMany = connect(port, '127.0.0.1');
    tooMany.on('error', () => undefined);
    tooMany.end(COMMAND);
    assert.equal((await received(tooMany).catch(() => Buffer.alloc(0))).length, 0);
    for (const socket of sockets) {
      socket.end();
      socket.resume();
      await once(socket, 'close');
    }
    const next = connect(port, '127.0.0.1');
    next.end(COMMAND);
    assert.deepEqual(await received(next), RESPONSE);
  });
});
