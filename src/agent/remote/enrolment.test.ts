import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startService } from '../../../test/fleet/service.ts';
import { toHex } from '../../bytes/index.ts';
import { ActivationRequestCodec } from '../../evidence/index.ts';
import { encode, TPMT_PUBLIC, TpmClient } from '../../tpm/index.ts';
import { EmbeddedTpm, inProcessTransport } from '../../vtpm/index.ts';
import { loadIdentity } from '../attest/identity.ts';
import { AgentError } from '../error.ts';
import { ServerConnection } from './connection.ts';
import { checkEnrolledKey, type EnrolOptions, enrol, enrolWhenReachable, readEnrolment } from './enrolment.ts';

async function newHost(t: TestContext): Promise<Omit<EnrolOptions, 'joinToken'>> {
  const folder = mkdtempSync(join(tmpdir(), 'assay-enrolment-'));
  const embedded = await EmbeddedTpm.open(join(folder, 'tpm'), { durable: false });
  const tpm = new TpmClient(inProcessTransport(embedded, 'test', () => embedded.close()));
  t.after(async () => {
    await tpm.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const identity = await loadIdentity(tpm, folder);
  return { tpm, tpmKind: 'software', identity, measurer: 'user-space', hostName: 'web1', folder };
}

/** As one whose agent is killed when the server has answered, and before the agent has the answer. */
class LosesAnswers extends ServerConnection {
  override async post(path: string, body: Uint8Array, token?: string): Promise<Uint8Array> {
    const answer = await super.post(path, body, token);
    if (path === '/api/agent/activate') throw new Error('killed');
    return answer;
  }
}

/** As a server that starts after the agent: the first connection finds nobody. */
class ComesUpLate extends ServerConnection {
  #tries = 0;

  override async post(path: string, body: Uint8Array, token?: string): Promise<Uint8Array> {
    this.#tries += 1;
    if (this.#tries > 1) return super.post(path, body, token);
    const nobody = new ServerConnection({ url: 'http://127.0.0.1:1' });
    try {
      return await nobody.post(path, body, token);
    } finally {
      nobody.close();
    }
  }
}

const noToken = (): string => assert.fail('a join token was asked for');

test('an enrolment whose last answer was lost goes on without another join token', async (t) => {
  await using service = await startService();
  const host = await newHost(t);
  const address = { url: service.client.url, fingerprint: service.server.fingerprint };
  const joinToken = await service.server.joinToken({ label: '', demonstration: true });
  const losing = new LosesAnswers(address);
  await assert.rejects(enrol(losing, { ...host, joinToken: () => joinToken }), { message: 'killed' });
  losing.close();
  assert.equal(await readEnrolment(host.folder), undefined);

  const connection = new ServerConnection(address);
  t.after(() => connection.close());
  const { enrolment } = await enrol(connection, { ...host, joinToken: noToken });
  assert.deepEqual(await readEnrolment(host.folder), enrolment);
  assert.notEqual(await service.server.host(enrolment.hostId), undefined);
  assert.equal(existsSync(join(host.folder, 'activation.json')), false);
});

test('an activation that the server no longer knows is forgotten: the enrolment begins anew', async (t) => {
  await using service = await startService();
  const host = await newHost(t);
  const connection = new ServerConnection({ url: service.client.url, fingerprint: service.server.fingerprint });
  t.after(() => connection.close());
  const kept = {
    server: connection.url,
    akPublic: toHex(encode(TPMT_PUBLIC, host.identity.ak.area)),
    activation: toHex(
      ActivationRequestCodec.encode({ enrolmentId: randomBytes(16).toString('hex'), credential: randomBytes(32) }),
    ),
  };
  writeFileSync(join(host.folder, 'activation.json'), JSON.stringify(kept));
  const joinToken = await service.server.joinToken({ label: '', demonstration: true });
  const { enrolment } = await enrol(connection, { ...host, joinToken: () => joinToken });
  assert.deepEqual(await readEnrolment(host.folder), enrolment);
});

test('a folder that others may write to is refused before a key in it is believed', async (t) => {
  const { tpm, folder } = await newHost(t);
  chmodSync(folder, 0o777);
  await assert.rejects(loadIdentity(tpm, folder), { code: 'sys.folder-not-private' });
});

test('a server that comes up later is waited for', async (t) => {
  await using service = await startService();
  const host = await newHost(t);
  const joinToken = await service.server.joinToken({ label: '', demonstration: true });
  const late = new ComesUpLate({ url: service.client.url, fingerprint: service.server.fingerprint });
  t.after(() => late.close());
  const troubles: unknown[] = [];
  const waiting = { signal: new AbortController().signal, onTrouble: (error: unknown) => void troubles.push(error) };
  const enrolled = await enrolWhenReachable(late, { ...host, joinToken: () => joinToken }, waiting);
  assert.deepEqual(await readEnrolment(host.folder), enrolled?.enrolment);
  assert.deepEqual(
    troubles.map((error) => error instanceof AgentError && error.code),
    ['agent.server-unreachable'],
  );
});

test('who is stopped while waiting for the server gives up; a refusal is not waited out', async (t) => {
  await using service = await startService();
  const host = await newHost(t);
  const nobody = new ServerConnection({ url: 'http://127.0.0.1:1' });
  t.after(() => nobody.close());
  const stop = new AbortController();
  const waiting = { signal: stop.signal, onTrouble: () => stop.abort() };
  assert.equal(await enrolWhenReachable(nobody, { ...host, joinToken: () => 'none' }, waiting), undefined);
  const connection = new ServerConnection({ url: service.client.url, fingerprint: service.server.fingerprint });
  t.after(() => connection.close());
  const unstopped = { signal: new AbortController().signal, onTrouble: (error: unknown) => assert.fail(String(error)) };
  await assert.rejects(enrolWhenReachable(connection, { ...host, joinToken: () => 'none' }, unstopped), {
    code: 'agent.refused',
  });
});

test('another TPM in the same folder takes nothing from the first, and is not passed off as it', async (t) => {
  await using service = await startService();
  const host = await newHost(t);
  const connection = new ServerConnection({ url: service.client.url, fingerprint: service.server.fingerprint });
  t.after(() => connection.close());
  const joinToken = await service.server.joinToken({ label: '', demonstration: true });
  const { enrolment } = await enrol(connection, { ...host, joinToken: () => joinToken });
  const other = await newHost(t);
  const identity = await loadIdentity(other.tpm, host.folder);
  assert.notEqual(identity.folder, host.identity.folder);
  assert.throws(() => checkEnrolledKey(enrolment, identity, host.folder), { code: 'agent.other-tpm' });
  const again = await loadIdentity(host.tpm, host.folder);
  assert.deepEqual(again.ak.name, host.identity.ak.name);
  checkEnrolledKey(enrolment, again, host.folder);
});

test('a kept attestation key that the TPM refuses is not replaced silently', async (t) => {
  const host = await newHost(t);
  const path = join(host.identity.folder, 'ak.private');
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  writeFileSync(path, bytes);
  await assert.rejects(loadIdentity(host.tpm, host.folder), { code: 'agent.key-refused' });
});
