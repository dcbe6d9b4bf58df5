import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { PassingSocket } from '../../sys/index.ts';
import { memoryStore, PoweredTpm } from '../software/index.ts';
import { ConnectionReader, Disconnected } from './connection.ts';
import { type SwtpmSocket, type SwtpmSocketOptions, serveSwtpmSocket } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'assay-control-'));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Rig {
  readonly path: string;
  readonly socket: SwtpmSocket;
  readonly told: unknown[];
}

let count = 0;

async function withServed(use: (rig: Rig) => Promise<void>, options: SwtpmSocketOptions = {}): Promise<void> {
  const path = join(folder, `control-${count++}`);
  const told: unknown[] = [];
  const socket = await serveSwtpmSocket(new PoweredTpm(memoryStore('a test')), {
    control: { kind: 'unix', path },
    onFailure: (error) => told.push(error),
    ...options,
  });
  try {
    await use({ path, socket, told });
  } finally {
    await socket.close();
  }
}

class Client {
  readonly socket: Socket | PassingSocket;
  readonly reader: ConnectionReader;

  constructor(socket: Socket | PassingSocket) {
    this.socket = socket;
    this.reader = new ConnectionReader(socket);
    socket.on('error', () => undefined);
  }

  static to(path: string): Client {
    return new Client(connect(path));
  }

  async ask(hex: string, size = 4): Promise<string> {
    this.socket.write(Buffer.from(hex, 'hex'));
    return (await this.reader.read(size)).toString('hex');
  }
}

const INIT = '0000000200000000';
const SUCCESS = '00000000';
const BAD_PARAMETER = '00000003';
const word = (value: number): string => value.toString(16).padStart(8, '0');

test('what it offers is what it does: all of swtpm’s commands on a Unix socket, no descriptors over TCP', async () => {
  await withServed(async ({ path }) => {
    assert.equal(await Client.to(path).ask('00000001', 8), `${SUCCESS}0001bfff`);
  });
  await withServed(async ({ path }) => assert.equal(await Client.to(path).ask('00000001', 8), `${SUCCESS}0001ffff`), {
    info: () => '{}',
  });
  const port = await freePort();
  await withServed(
    async () => {
      const client = new Client(connect(port, '127.0.0.1'));
      assert.equal(await client.ask('00000001', 8), `${SUCCESS}0001afff`);
      assert.equal(await client.ask('00000010'), BAD_PARAMETER);
    },
    { control: { kind: 'tcp', host: '127.0.0.1', port } },
  );
});

test('half a message is refused when its rest does not come, and the channel goes on', async () => {
  await withServed(async ({ path }) => {
    const client = Client.to(path);
    assert.equal(await client.ask('0000'), BAD_PARAMETER);
    assert.equal(await client.ask('000000020000'), BAD_PARAMETER);
    assert.equal(await client.ask('00000005'), BAD_PARAMETER);
    assert.equal(await client.ask(INIT), SUCCESS);
  });
});

test('a message in single bytes is the message', async () => {
  await withServed(async ({ path }) => {
    const client = Client.to(path);
    for (const byte of Buffer.from('00000011 00000000'.replace(' ', ''), 'hex')) {
      client.socket.write(Buffer.of(byte));
      await sleep(1);
    }
    assert.equal((await client.reader.read(16)).toString('hex'), `${SUCCESS}${word(4096)}${word(2808)}${word(4096)}`);
  });
});

test('data to be hashed may be of any size and come in any pieces; more than was said is refused', async () => {
  await withServed(async ({ path }) => {
    const client = Client.to(path);
    await client.ask(INIT);
    assert.equal(await client.ask('0000000700000001aabb'), BAD_PARAMETER);
    assert.equal(await client.ask('00000006'), SUCCESS);
    client.socket.write(Buffer.from(`00000007${word(100_000)}`, 'hex'));
    for (let sent = 0; sent < 100_000; sent += 10_000) client.socket.write(Buffer.alloc(10_000));
    assert.equal((await client.reader.read(4)).toString('hex'), SUCCESS);
    assert.equal(await client.ask('00000008'), SUCCESS);
  });
});

test('a state of more than 512 KiB, or of no type, is refused and ends the connection, for what follows is unknown', async () => {
  await withServed(async ({ path }) => {
    const large = Client.to(path);
    assert.equal(await large.ask(`0000000d${word(0)}${word(1)}${word(512 * 1024 + 1)}`), word(9));
    await assert.rejects(large.reader.read(1), Disconnected);
    const client = Client.to(path);
    assert.equal(await client.ask(`0000000d${word(0)}${word(4)}${word(2)}aaaa`), BAD_PARAMETER);
    assert.equal(await client.ask(`0000000d${word(0)}${word(3)}${word(1)}aa`), word(0x34));
    await client.ask(INIT);
    assert.equal(await client.ask(`0000000c${word(0)}${word(4)}${word(0)}`, 16), `${word(9)}${word(0).repeat(3)}`);
  });
});

test('a state that is none is refused, and why is told to who runs the TPM', async () => {
  await withServed(async ({ path, told }) => {
    const client = Client.to(path);
    assert.equal(await client.ask(`0000000d${word(0)}${word(1)}${word(100)}${'ab'.repeat(100)}`), word(9));
    assert.match(String(told[0]), /the permanent state from another host/);
    assert.equal(await client.ask(INIT), SUCCESS);
  });
});

test('information comes whole or from an offset on, with a NUL behind it', async () => {
  await withServed(
    async ({ path }) => {
      const client = Client.to(path);
      const asked = `00000012${word(0)}${word(5)}`;
      const text = Buffer.from('{"flags":"5"}\0').toString('hex');
      assert.equal(await client.ask(`${asked}${word(0)}${word(0)}`, 26), `${SUCCESS}${word(14)}${word(14)}${text}`);
      assert.equal(await client.ask(`${asked}${word(12)}${word(0)}`, 14), `${SUCCESS}${word(14)}${word(2)}7d00`);
      assert.equal(await client.ask(`${asked}${word(13)}${word(0)}`), BAD_PARAMETER);
      assert.equal(await client.ask(asked), BAD_PARAMETER);
    },
    { info: (flags) => JSON.stringify({ flags: String(flags) }) },
  );
});

test('a data channel is taken over the control channel, as QEMU gives it: one at a time, and a socket', async () => {
  await withServed(async ({ path }) => {
    const { ends, close } = await socketPair();
    const client = new Client(PassingSocket.connect(path));
    const passer = client.socket as PassingSocket;
    assert.equal(await client.ask('00000010'), BAD_PARAMETER);
    const file = openSync(import.meta.filename, 'r');
    passer.pass(Buffer.from('00000010', 'hex'), file);
    assert.equal((await client.reader.read(4)).toString('hex'), BAD_PARAMETER);

    const given = await ends();
    passer.pass(Buffer.from('00000010', 'hex'), given.theirs);
    assert.equal((await client.reader.read(4)).toString('hex'), SUCCESS);
    passer.pass(Buffer.from('00000010', 'hex'), file);
    assert.equal((await client.reader.read(4)).toString('hex'), word(0x1f));
    closeSync(file);
    await client.ask(INIT);
    const data = new Client(given.ours);
    assert.equal(await data.ask('80010000000c000001440000', 10), '80010000000a00000000');

    data.socket.destroy();
    await sleep(20);
    const again = await ends();
    passer.pass(Buffer.from('00000010', 'hex'), again.theirs);
    assert.equal((await client.reader.read(4)).toString('hex'), SUCCESS);
    assert.equal(await new Client(again.ours).ask('80010000000c0000017b0000', 12), '80010000000c000000000000');
    again.ours.destroy();
    await close();
  });
});

test('locality 4 is refused where that was asked', async () => {
  await withServed(
    async ({ path }) => {
      assert.equal(await Client.to(path).ask('0000000504'), word(0x3d));
      assert.equal(await Client.to(path).ask('0000000503'), SUCCESS);
    },
    { rejectsLocality4: true },
  );
});

test('it is over when it is shut down, or a channel closes that it was to end with', async () => {
  await withServed(async ({ path, socket }) => {
    const client = Client.to(path);
    assert.equal(await client.ask('0000000300'), BAD_PARAMETER);
    assert.equal(await client.ask('00000003'), SUCCESS);
    assert.equal(await socket.ended, 'CMD_SHUTDOWN');
  });
  await withServed(
    async ({ path, socket }) => {
      const client = Client.to(path);
      await client.ask(INIT);
      client.socket.destroy();
      assert.equal(await socket.ended, 'the control channel was closed');
    },
    { endsWithControl: true },
  );
  const data = join(folder, 'data');
  await withServed(
    async ({ path, socket }) => {
      const control = Client.to(path);
      await control.ask(INIT);
      control.socket.destroy();
      const client = Client.to(data);
      await client.ask('80010000000c000001440000', 10);
      client.socket.destroy();
      assert.equal(await socket.ended, 'the data channel was closed');
    },
    { data: { kind: 'unix', path: data }, endsWithData: true },
  );
});

test('whatever is sent, every message is answered or ends its connection, and others are served', async () => {
  await withServed(async ({ path }) => {
    const message = fc.tuple(fc.integer({ min: 0, max: 0x14 }), fc.uint8Array({ maxLength: 40 }));
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 6 }), async (messages) => {
        const client = Client.to(path);
        for (const [number, body] of messages)
          client.socket.write(Buffer.concat([Buffer.from(word(number), 'hex'), body]));
        client.socket.end();
        await client.reader.read(1_000_000).catch((error: unknown) => assert.ok(error instanceof Disconnected));
      }),
      { numRuns: 150 },
    );
    assert.equal(await Client.to(path).ask('0000000f', 8), `${SUCCESS}${word(0)}`);
  });
});

test('a flood and many connections are bounded: who comes late is refused, and later is served', async () => {
  await withServed(async ({ path }) => {
    const before = readdirSync('/proc/self/fd').length;
    const flood = Client.to(path);
    for (let i = 0; i < 200; i++) flood.socket.write(Buffer.alloc(4096, 0xff));
    const clients = Array.from({ length: 100 }, () => Client.to(path));
    const answers = await Promise.all(clients.map((client) => client.ask('0000000f', 8).catch(() => 'refused')));
    assert.ok(answers.filter((answer) => answer !== 'refused').length >= 60);
    assert.ok(answers.includes('refused'));
    for (const { socket } of [flood, ...clients]) socket.destroy();
    for (let i = 0; i < 100 && readdirSync('/proc/self/fd').length > before; i++) await sleep(20);
    assert.equal(await Client.to(path).ask('0000000f', 8), `${SUCCESS}${word(0)}`);
  });
});

/** One that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

interface Pair {
  readonly ours: Socket;
  /** A descriptor that the other process would have. */
  readonly theirs: number;
}

/** Both ends of Unix connections, one of them bare. */
async function socketPair() {
  const path = join(folder, 'pair');
  const listener = createServer().listen(path);
  await once(listener, 'listening');
  return {
    async ends(): Promise<Pair> {
      const accepted = once(listener, 'connection');
      const bare = PassingSocket.connect(path);
      const [ours]: unknown[] = await accepted;
      return { ours: ours as Socket, theirs: bare.fd };
    },
    close: () => new Promise((resolve) => listener.close(resolve)),
  };
}
