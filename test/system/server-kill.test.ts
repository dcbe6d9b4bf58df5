/**
 * kill -9 of the server under load, fifty times: whatever it acknowledged is there afterwards, whatever it did not
 * acknowledge is there as a whole or not at all, and every host goes on.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Challenge } from '../../src/evidence/index.ts';
import { testAuthority } from '../fleet/authority.ts';
import { attest, Client, enrol, freshChallenge, RefusedError } from '../fleet/service.ts';
import { killServer as kill, serveInProcess as start } from '../fleet/serving-process.ts';
import { SimulatedHost } from '../fleet/simulated-host.ts';

const ROUNDS = 50;
const HOSTS = 8;

/** What one agent remembers of what it was told. */
interface Agent {
  readonly host: SimulatedHost;
  readonly hostId: string;
  readonly token: string;
  next: Challenge;
  /** The challenge of the last acknowledged evidence. */
  answered: Challenge | undefined;
  /** Evidence for `next` left and was not acknowledged. */
  underWay: boolean;
  acknowledged: number;
  sent: number;
}

/** Attests until the server is gone. */
async function load(agent: Agent, client: Client): Promise<void> {
  for (;;) {
    const challenge = agent.next;
    agent.host.measure(`/opt/file-${agent.sent}`, String(agent.sent));
    agent.underWay = true;
    agent.sent += 1;
    try {
      const answer = await attest(client, agent.token, agent.host.evidence(challenge));
      assert.notEqual(answer.verdict, 'untrusted', JSON.stringify(answer.findings));
      agent.acknowledged += 1;
      agent.answered = challenge;
      agent.next = answer.next;
      agent.underWay = false;
    } catch (error) {
      if (error instanceof RefusedError || error instanceof assert.AssertionError) throw error;
      return; // the connection broke: the server is dead
    }
  }
}

/** After a restart: nothing acknowledged is lost, and the host goes on. */
async function check(agent: Agent, client: Client, viewer: string): Promise<void> {
  const { results } = (await client.json(`/api/hosts/${agent.hostId}/results?limit=1`, { token: viewer })) as {
    results: { seq: number }[];
  };
  const stored = results[0]?.seq ?? 0;
  assert.ok(stored >= agent.acknowledged, `${agent.acknowledged} results were acknowledged, ${stored} are stored`);
  assert.ok(stored <= agent.acknowledged + (agent.underWay ? 1 : 0), `${stored} results for ${agent.acknowledged}`);
  if (agent.answered !== undefined) {
    await assert.rejects(attest(client, agent.token, agent.host.evidence(agent.answered)), isReplay);
  }
  const isStored = stored > agent.acknowledged;
  if (isStored) {
    // It was stored and the acknowledgement did not come through: the whole of it is there, its nonce included.
    await assert.rejects(attest(client, agent.token, agent.host.evidence(agent.next)), isReplay);
    agent.answered = agent.next;
    agent.next = await freshChallenge(client, agent.token);
  }
  const answer = await attest(client, agent.token, agent.host.evidence(agent.next));
  assert.notEqual(answer.verdict, 'untrusted', JSON.stringify(answer.findings));
  agent.answered = agent.next;
  agent.next = answer.next;
  agent.underWay = false;
  agent.acknowledged = stored + 1;
}

const isReplay = (error: unknown): boolean => error instanceof RefusedError && error.code === 'nonce.replayed';

test(`${ROUNDS} rounds of kill -9 under load lose nothing acknowledged`, { timeout: 120_000 }, async (t) => {
  const dataFolder = mkdtempSync(join(tmpdir(), 'assay-kill-test-'));
  const authority = testAuthority('Test TPM maker');
  const options = { dataFolder, root: authority.certificate.toString('base64') };
  let running = await start({ ...options, joinTokens: HOSTS });
  try {
    const first = new Client(running.serving.url, running.serving.certificate);
    const agents: Agent[] = [];
    for (const joinToken of running.serving.joinTokens) {
      const host = new SimulatedHost({ name: `host-${agents.length}`, authority });
      const { hostId, token, challenge } = await enrol(first, host, joinToken);
      agents.push({
        host,
        hostId,
        token,
        next: challenge,
        answered: undefined,
        underWay: false,
        acknowledged: 0,
        sent: 0,
      });
    }
    first.close();
    for (let round = 0; round < ROUNDS; round++) {
      const client = new Client(running.serving.url, running.serving.certificate);
      const loads = agents.map((agent) => load(agent, client));
      await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 150));
      await kill(running.child);
      await Promise.all(loads);
      client.close();
      running = await start({ ...options, joinTokens: 0 });
      const { url, certificate, viewer } = running.serving;
      const fresh = new Client(url, certificate);
      await Promise.all(agents.map((agent) => check(agent, fresh, viewer)));
      fresh.close();
    }
    t.diagnostic(`${agents.reduce((sum, { acknowledged }) => sum + acknowledged, 0)} results acknowledged, none lost`);
  } finally {
    await kill(running.child);
    rmSync(dataFolder, { recursive: true, force: true });
  }
});
