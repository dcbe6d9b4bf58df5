import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, fstatSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { PassingServer, PassingSocket } from './passing-socket.ts';

const folder = mkdtempSync(join(tmpdir(), 'assay-passing-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function withServer(use: (path: string, next: () => Promise<PassingSocket>) => Promise<void>): Promise<void> {
  const path = join(folder, 'socket');
  const accepted: PassingSocket[] = [];
  let wake = (): void => undefined;
  const server = new PassingServer({ path, mode: 0o640 }, (socket) => {
    accepted.push(socket);
    wake();
  });
  const all: PassingSocket[] = [];
  try {
    await use(path, async () => {
      for (;;) {
        const socket = accepted.shift();
        if (socket !== undefined) {
          all.push(socket);
          return socket;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    });
  } finally {
    server.close();
    for (const socket of all) socket.destroy();
  }
}

async function connected(path: string): Promise<Socket> {
  const socket = connect(path);
  await once(socket, 'connect');
  return socket;
}

/** Exactly so many bytes. A listener for each wait would set the stream flowing in between. */
function read(stream: Duplex, size: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const look = (): void => {
      const bytes: unknown = stream.read(size);
      if (!(bytes instanceof Buffer)) return;
      stream.off('readable', look);
      resolve(bytes);
    };
    stream.on('readable', look);
    look();
  });
}

const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

test('bytes go both ways, whatever their size, and an end is an end', async () => {
  await withServer(async (path, next) => {
    assert.equal(statSync(path).mode & 0o777, 0o640);
    const client = await connected(path);
    const server = await next();
    const large = Buffer.alloc(3_000_000, 'assay');
    const echoed = read(client, large.length);
    client.write(large);
    server.pipe(server);
    assert.ok((await echoed).equals(large));
    client.end();
    client.resume();
    await once(client, 'close');
  });
});

test('a descriptor that is passed is open here, closed on exec, and comes once', async () => {
  await withServer(async (path, next) => {
    const passer = PassingSocket.connect(path);
    const server = await next();
    const file = openSync(import.meta.filename, 'r');
    passer.pass(Buffer.from('take'), file);
    assert.deepEqual(await read(server, 4), Buffer.from('take'));
    const taken = server.takeDescriptor() ?? -1;
    assert.equal(fstatSync(taken).ino, fstatSync(file).ino);
    assert.match(readFileSync(`/proc/self/fdinfo/${taken}`, 'latin1'), /flags:\s*0[0-7]*2[0-7]{6}\n/); // O_CLOEXEC
    assert.equal(server.takeDescriptor(), undefined);
    closeSync(taken);
    closeSync(file);
    passer.destroy();
  });
});

test('descriptors that nobody takes are closed', async () => {
  await withServer(async (path, next) => {
    const passer = PassingSocket.connect(path);
    const server = await next();
    const before = openDescriptors();
    const file = openSync(import.meta.filename, 'r');
    for (let i = 0; i < 100; i++) {
      passer.pass(Buffer.of(i), file);
      await read(server, 1);
    }
    assert.ok(openDescriptors() <= before + 2, `${openDescriptors() - before} more`);
    closeSync(file);
    server.destroy();
    passer.destroy();
    await Promise.all([once(server, 'close'), once(passer, 'close')]);
    assert.ok(openDescriptors() < before);
  });
});

test('where nobody listens any more the thread ends and leaves nothing open', async () => {
  const before = openDescriptors();
  for (let i = 0; i < 3; i++) {
    await withServer(async (path, next) => {
      const client = await connected(path);
      (await next()).end('bye');
      assert.deepEqual(await read(client, 3), Buffer.from('bye'));
      client.destroy();
    });
  }
  for (let i = 0; i < 100 && openDescriptors() > before; i++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(openDescriptors() <= before, `${openDescriptors() - before} are left`);
});

test('a path that is taken or too long is refused with its name', () => {
  assert.throws(() => new PassingServer({ path: folder }, () => undefined), /EADDRINUSE/);
  assert.throws(() => new PassingServer({ path: join(folder, 'x'.repeat(108)) }, () => undefined), /107 bytes/);
});
