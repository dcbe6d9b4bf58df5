import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startService } from '../../test/fleet/service.ts';
import { dashboardLinkFrom, openLinkSocket } from './control-socket.ts';
import { ServerError, type ServerErrorCode } from './error.ts';

const root = mkdtempSync(join(tmpdir(), 'assay-control-'));
after(() => rmSync(root, { recursive: true, force: true }));

function folder(name: string): string {
  const path = join(root, name);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
}

const isError = (code: ServerErrorCode, exitCode: number) => (error: unknown) =>
  error instanceof ServerError && error.code === code && error.exitCode === exitCode;

const LINK = 'http://127.0.0.1:1/enter?token=x';

test('a running server gives a fresh link each time, through a socket of its user alone', async () => {
  const dataFolder = folder('running');
  {
    await using service = await startService({ dataFolder });
    assert.equal(lstatSync(join(dataFolder, 'control.sock')).mode & 0o777, 0o600);
    const links = [await dashboardLinkFrom(dataFolder), await dashboardLinkFrom(dataFolder)];
    assert.notEqual(links[0], links[1]);
    for (const link of links) {
      const { origin, pathname, search } = new URL(link);
      assert.equal(origin, service.local.url);
      assert.equal((await service.local.send(pathname + search)).status, 200);
    }
  }
  assert.ok(!existsSync(join(dataFolder, 'control.sock')));
});

test('where no server runs, or none with a dashboard, the error says so', async () => {
  await assert.rejects(dashboardLinkFrom(folder('empty')), isError('server.not-running', 3));
  await assert.rejects(dashboardLinkFrom(join(root, 'nowhere')), isError('server.not-running', 3));
  const dataFolder = folder('no dashboard');
  const control = await openLinkSocket(dataFolder, async () => undefined);
  await assert.rejects(dashboardLinkFrom(dataFolder), isError('server.no-dashboard', 3));
  await control.close();
});

test('a folder whose name is longer than a socket’s may be serves too', async () => {
  const dataFolder = folder(join('a'.repeat(120), 'b'.repeat(120)));
  const control = await openLinkSocket(dataFolder, async () => LINK);
  assert.equal(await dashboardLinkFrom(dataFolder), LINK);
  await control.close();
});

test('a socket that a killed server left is replaced; one that answers, or anything else, stays', async () => {
  const dataFolder = folder('left');
  const path = join(dataFolder, 'control.sock');
  const killed = createServer().listen(join(dataFolder, 'first'));
  await once(killed, 'listening');
  linkSync(join(dataFolder, 'first'), path); // closing removes only the name that was listened on
  await assert.rejects(
    openLinkSocket(dataFolder, async () => LINK),
    isError('server.control', 2),
  );
  await new Promise((resolve) => killed.close(resolve));
  await assert.rejects(dashboardLinkFrom(dataFolder), isError('server.not-running', 3));
  await (await openLinkSocket(dataFolder, async () => LINK)).close();

  writeFileSync(path, 'precious');
  await assert.rejects(startService({ dataFolder: dataFolder }), isError('server.control', 2));
  assert.equal(readFileSync(path, 'utf8'), 'precious');
});

test('anything but the one request gets no link; what answers something else is no server', async () => {
  const dataFolder = folder('strangers');
  const control = await openLinkSocket(dataFolder, async () => LINK);
  for (const text of ['links\n', 'GET / HTTP/1.1\r\n\r\n', 'x'.repeat(100_000)]) {
    const socket = connect(join(dataFolder, 'control.sock'));
    let said = '';
    socket.on('data', (part) => (said += part.toString()));
    socket.on('error', () => undefined);
    socket.write(text);
    await new Promise((resolve) => socket.once('close', resolve));
    assert.doesNotMatch(said, /enter/);
  }
  assert.equal(await dashboardLinkFrom(dataFolder), LINK, 'and it goes on');
  await control.close();

  for (const said of ['', '{"link":"http://evil.example/enter?token=x"}\n', '[]']) {
    const other = createServer((socket) => socket.resume().end(said)).listen(join(dataFolder, 'control.sock'));
    await once(other, 'listening');
    await assert.rejects(dashboardLinkFrom(dataFolder), isError('server.fault', 2));
    await new Promise((resolve) => other.close(resolve));
  }
});
