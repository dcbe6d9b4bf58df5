import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { certificateIssuer } from '../../tpm/index.ts';
import { AgentError } from '../error.ts';
import { ServerConnection } from './connection.ts';

async function listening(t: TestContext, server: net.Server): Promise<number> {
  const open = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => open.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const isUnreachable = (error: unknown) => error instanceof AgentError && error.code === 'agent.server-unreachable';

for (const address of [{ fingerprint: '00'.repeat(32) }, {}]) {
  const kind = address.fingerprint === undefined ? 'trusted by authorities' : 'pinned';
  test(`a peer that says nothing in the TLS handshake is given up (${kind})`, { timeout: 10_000 }, async (t) => {
    const silent = net.createServer((socket) => socket.on('error', () => undefined).resume());
    const port = await listening(t, silent);
    const closed = once(silent, 'connection').then(([socket]) => once(socket, 'close'));
    const connection = new ServerConnection({ url: `https://127.0.0.1:${port}`, ...address }, { deadline: 200 });
    await assert.rejects(connection.post('/', new Uint8Array(0)), isUnreachable);
    await closed;
    connection.close();
  });
}

test('an answer that trickles for ever is given up', { timeout: 10_000 }, async (t) => {
  const trickling = http.createServer((_, answer) => {
    const timer = setInterval(() => answer.write('x'), 20);
    answer.on('close', () => clearInterval(timer));
  });
  const port = await listening(t, trickling);
  const connection = new ServerConnection({ url: `http://127.0.0.1:${port}` }, { deadline: 200 });
  await assert.rejects(connection.post('/', new Uint8Array(0)), isUnreachable);
  connection.close();
});

test('a certificate that no authority vouches for is told from a silent server, with what to give', async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const { issueCertificate } = await certificateIssuer();
  const dates = { from: new Date(Date.now() - 1000), until: new Date(Date.now() + 60_000) };
  const own = issueCertificate(
    { subject: 'a server', issuer: 'a server', ...dates, publicKey, extensions: {} },
    privateKey,
  );
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const port = await listening(t, https.createServer({ key, cert: new X509Certificate(own).toString() }));
  const connection = new ServerConnection({ url: `https://127.0.0.1:${port}` });
  await assert.rejects(connection.post('/', new Uint8Array(0)), {
    code: 'agent.server-untrusted',
    advice: /--fingerprint sha256:/,
  });
  connection.close();
});
