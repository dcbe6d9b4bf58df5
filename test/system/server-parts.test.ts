/** kill -9 of the server between two parts of a long list, and in the middle of one: the host goes on where it was. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { testAuthority } from '../fleet/authority.ts';
import { attest, Client, enrol, freshChallenge, RefusedError } from '../fleet/service.ts';
import { killServer, serveInProcess } from '../fleet/serving-process.ts';
import { SimulatedHost } from '../fleet/simulated-host.ts';

const PART = 300 * 1024;

test('a server that is killed between two parts asks for what follows', { timeout: 60_000 }, async () => {
  const dataFolder = mkdtempSync(join(tmpdir(), 'assay-parts-test-'));
  const authority = testAuthority('Test TPM maker');
  const options = { dataFolder, root: authority.certificate.toString('base64') };
  let running = await serveInProcess({ ...options, joinTokens: 1 });
  try {
    const host = new SimulatedHost({ name: 'long', authority });
    for (let i = 0; i < 600; i++) host.measure(`/opt/${'d'.repeat(2000)}/${i}`, `${i}`);
    host.partLimit = PART;
    let client = new Client(running.serving.url, running.serving.certificate);
    const { token, challenge } = await enrol(client, host, running.serving.joinTokens[0] ?? '');
    let next = challenge;
    let verdict: string | undefined;
    let rounds = 0;
    for (; verdict === undefined && rounds < 20; rounds++) {
      const answer = await attest(client, token, host.evidence(next));
      verdict = answer.verdict;
      // Evidence on its way when the server dies: stored as a whole or not at all.
      const lost = attest(client, token, host.evidence(answer.next)).catch((error: unknown) => error);
      await killServer(running.child);
      assert.ok(!((await lost) instanceof RefusedError));
      client.close();
      running = await serveInProcess({ ...options, joinTokens: 0 });
      client = new Client(running.serving.url, running.serving.certificate);
      next = await freshChallenge(client, token);
      assert.ok(next.imaOffset >= answer.next.imaOffset, 'nothing that was acknowledged is asked for again');
    }
    assert.equal(verdict, 'unknown');
    const after = await attest(client, token, host.evidence(next));
    assert.deepEqual([after.verdict, after.measured], ['unknown', 601]);
    client.close();
  } finally {
    await killServer(running.child);
    rmSync(dataFolder, { recursive: true, force: true });
  }
});
