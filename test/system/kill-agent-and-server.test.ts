/**
 * kill -9 of agent, server or both, fifty times, while programs start on the host: whatever the agent was told is in the
 * store afterwards, list and PCR 10 agree again without an alarm, and the same enrolment goes on.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ASSAY, Spawned } from './up/assay.ts';
import { DashboardSession } from './up/dashboard-session.ts';

const ROUNDS = 50;
const WEB_ROOT = join(import.meta.dirname, '../../web/dist');
const run = promisify(execFile);

/** Nothing else may be found: no reference was given, and the TPM is a software one. */
const EXPECTED = new Set([
  'tpm.demonstration',
  'ima.user-space',
  'reference.none',
  'boot.no-reference',
  'boot.no-log',
  'boot.nothing-measured',
]);

interface ServerSays {
  readonly dashboard: string;
  readonly agents: string;
  readonly fingerprint: string;
  readonly joinToken: string;
}

interface AgentSays {
  readonly verdict: string;
  readonly measured: number;
  readonly findings: readonly { readonly code: string; readonly message: string }[];
}

interface Stored {
  readonly hosts: readonly { readonly id: string; readonly measured: number }[];
}

/** A port that was free a moment ago: the restarted server must have the same. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

/** Server and agent of one host, as processes that are killed and started again. */
class Fleet {
  readonly #folder: string;
  readonly #port: number;
  #server: Spawned | undefined;
  #agent: Spawned | undefined;
  #says: ServerSays | undefined;
  /** Verdicts that the agents of earlier rounds were told. */
  #told: AgentSays[] = [];

  constructor(folder: string, port: number) {
    this.#folder = folder;
    this.#port = port;
  }

  /** Every verdict that an agent was told. */
  get told(): readonly AgentSays[] {
    return [...this.#told, ...linesOf(this.#agent?.output ?? '')];
  }

  async startServer(): Promise<void> {
    const listen = ['--listen', `127.0.0.1:${this.#port}`, '--port', '0'];
    const command = ['server', 'run', ...listen, '--demonstration', '--json', '--data', join(this.#folder, 'server')];
    this.#server = new Spawned([ASSAY, ...command], { ASSAY_LOG: 'warn' });
    const [line] = await this.#server.says(/^\{.*\}$/m);
    this.#says = JSON.parse(line);
  }

  startAgent(): void {
    const { agents = '', fingerprint = '', joinToken = '' } = this.#says ?? {};
    const command = ['agent', 'run', '--server', agents, '--fingerprint', fingerprint, '--interval', '1', '--json'];
    this.#agent = new Spawned([ASSAY, ...command, '--data', join(this.#folder, 'agent')], {
      ASSAY_TPM: `software:${join(this.#folder, 'tpm')}`,
      // Only the first start may need it: a host that enrolled again would have lost its enrolment.
      ...(this.isEnrolled ? {} : { ASSAY_JOIN_TOKEN: joinToken }),
    });
  }

  get isEnrolled(): boolean {
    return existsSync(this.enrolmentFile);
  }

  get enrolmentFile(): string {
    return join(this.#folder, 'agent/agent/enrolment.json');
  }

  async killServer(): Promise<void> {
    await this.#server?.kill();
    this.#server = undefined;
  }

  async killAgent(): Promise<void> {
    const ended = await this.#agent?.kill();
    this.#told.push(...linesOf(ended?.stdout ?? ''));
    this.#agent = undefined;
  }

  /** Until the agent was told something new. */
  async untilTold(): Promise<void> {
    const before = this.told.length;
    for (const end = Date.now() + 20_000; this.told.length === before; await delay(10)) {
      if (Date.now() > end) throw new Error(`the agent was told nothing for 20 s: ${this.#agent?.complaints}`);
      if (this.#agent?.child.exitCode != null) throw new Error(`the agent ended: ${this.#agent.complaints}`);
    }
  }

  /** How many results the store holds of the host, and what it was last seen to have measured. */
  async stored(): Promise<{ readonly id: string; readonly results: number; readonly measured: number }> {
    const session = await DashboardSession.open(this.#says?.dashboard ?? '');
    const { hosts } = await session.get<Stored>('/hosts');
    assert.equal(hosts.length, 1);
    const [{ id, measured } = { id: '', measured: 0 }] = hosts;
    const { results } = await session.get<{ results: { seq: number }[] }>(`/hosts/${id}/results?limit=1`);
    return { id, measured, results: results[0]?.seq ?? 0 };
  }
}

/** Whole lines: a killed process may leave a part of one. @throws where one is no verdict but the error that ended it */
function linesOf(output: string): AgentSays[] {
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const said = JSON.parse(line);
      if ('error' in said) throw new Error(`the agent ended: ${line}`);
      return said;
    });
}

/** Starts another new program every few milliseconds, until told to stop. */
async function startPrograms(folder: string, stopping: AbortSignal): Promise<number> {
  mkdirSync(folder);
  const content = readFileSync('/usr/bin/true');
  let started = 0;
  while (!stopping.aborted) {
    const program = join(folder, `program-${started++}`);
    writeFileSync(program, Buffer.concat([content, randomBytes(16)]), { mode: 0o755 });
    await run(program);
    rmSync(program);
    await delay(40);
  }
  return started;
}

function assertNoAlarm({ findings }: AgentSays): void {
  for (const { code, message } of findings) assert.ok(EXPECTED.has(code), `${code}: ${message}`);
}

test(`${ROUNDS} rounds of kill -9 of agent and server lose nothing`, { timeout: 300_000 }, async (t: TestContext) => {
  assert.ok(existsSync(join(WEB_ROOT, 'index.html')), 'web/dist is not built: npm run build:web');
  const folder = mkdtempSync(join(tmpdir(), 'assay-kill-'));
  const stopping = new AbortController();
  const fleet = new Fleet(folder, await freePort());
  const programs = startPrograms(join(folder, 'programs'), stopping.signal);
  try {
    await fleet.startServer();
    fleet.startAgent();
    await fleet.untilTold();
    const enrolment = readFileSync(fleet.enrolmentFile, 'utf8');
    const { id } = await fleet.stored();

    for (let round = 0; round < ROUNDS; round++) {
      await delay(Math.random() * 200);
      if (round % 3 !== 0) await fleet.killAgent();
      if (round % 3 !== 1) {
        await fleet.killServer();
        const { length } = fleet.told;
        const measured = fleet.told.at(-1)?.measured ?? 0;
        await fleet.startServer();
        const stored = await fleet.stored();
        assert.equal(stored.id, id);
        assert.ok(stored.results >= length, `${length} results were acknowledged, ${stored.results} are stored`);
        assert.ok(
          stored.measured >= measured,
          `${measured} measurements were acknowledged, ${stored.measured} are stored`,
        );
      }
      if (round % 3 !== 0) fleet.startAgent();
      await fleet.untilTold();
      fleet.told.forEach(assertNoAlarm);
      assert.equal(readFileSync(fleet.enrolmentFile, 'utf8'), enrolment);
    }
    stopping.abort();
    const counts = `${fleet.told.length} verdicts told, ${fleet.told.at(-1)?.measured} measurements`;
    t.diagnostic(`${counts}, ${await programs} programs started; none lost`);
  } finally {
    stopping.abort();
    await programs;
    await fleet.killAgent();
    await fleet.killServer();
    rmSync(folder, { recursive: true, force: true });
  }
});
