/**
 * Attestations through the API with durable results: 200 hosts with P-256 attestation keys over kept TLS connections,
 * the server in a process of its own and the hosts in this one. Beside it: the same without fsync, and `verify` alone.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { EvidenceAnswerCodec, EvidenceCodec } from '../src/evidence/index.ts';
import type { Enrolment } from '../src/verify/index.ts';
import { requestFor, verify } from '../src/verify/index.ts';
import { type TestAuthority, testAuthority } from '../test/fleet/authority.ts';
import type { ServeOptions, Serving } from '../test/fleet/serve.ts';
import { attest, Client, enrol } from '../test/fleet/service.ts';
import { SimulatedHost } from '../test/fleet/simulated-host.ts';
import { SteadyConnection } from '../test/fleet/steady-connection.ts';

const HOSTS = 200;
/** Kept connections; each carries one request at a time. */
const SOCKETS = 64;
const WARM_UP_MS = 3000;
const MEASURED_MS = 8000;
const SERVE = join(import.meta.dirname, '../test/fleet/serve.ts');

export async function run(): Promise<void> {
  console.log(
    `attestations through the API, ${HOSTS} hosts, ${availableParallelism()} cores, load generator included:`,
  );
  console.log(`  durable (aim 2,000/s): ${describe(await measure('full'))}`);
  console.log(`  baseline, no fsync:    ${describe(await measure('off'))}`);
  console.log(`  baseline, verify alone, one core: ${Math.round(verifyAlone()).toLocaleString('en')}/s`);
}

interface Measured {
  readonly rate: number;
  /** Milliseconds from request to answer. */
  readonly p50: number;
  readonly p99: number;
  /** CPU of the server, microseconds an attestation. */
  readonly serverCpu: number;
  /** CPU of the load generator, the same. */
  readonly loadCpu: number;
}

function describe({ rate, p50, p99, serverCpu, loadCpu }: Measured): string {
  const times = `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
  return `${Math.round(rate).toLocaleString('en')}/s, ${times}, CPU each: server ${Math.round(serverCpu)} µs, load ${Math.round(loadCpu)} µs`;
}

async function measure(fsync: 'full' | 'off'): Promise<Measured> {
  const dataFolder = mkdtempSync(join(tmpdir(), 'assay-bench-server-'));
  const authority = testAuthority('Benchmark');
  const root = authority.certificate.toString('base64');
  const { serving, cpuSeconds, stop } = await serve({ dataFolder, root, joinTokens: HOSTS, fsync });
  try {
    return await load(serving, authority, cpuSeconds);
  } finally {
    await stop();
    rmSync(dataFolder, { recursive: true, force: true });
  }
}

export interface Served {
  readonly serving: Serving;
  readonly cpuSeconds: () => Promise<number>;
  /** The longest that the event loop was held up since the last call, ms. */
  readonly loopDelay: () => Promise<number>;
  readonly stop: () => Promise<void>;
}

export function serve(options: ServeOptions): Promise<Served> {
  const child = spawn(process.execPath, [SERVE, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const ask = (what: 'cpu' | 'delay'): Promise<number> => {
    child.send(what);
    return new Promise((resolve) => child.once('message', (answer) => resolve(Number(answer))));
  };
  const stop = (): Promise<void> => {
    child.kill('SIGTERM');
    return ended;
  };
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (part: Buffer) => {
      text += part.toString('utf8');
      if (text.endsWith('\n')) {
        resolve({
          serving: JSON.parse(text),
          cpuSeconds: () => ask('cpu'),
          loopDelay: () => ask('delay'),
          stop,
        });
      }
    });
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
}

async function load(serving: Serving, authority: TestAuthority, cpuSeconds: () => Promise<number>): Promise<Measured> {
  const client = new Client(serving.url, serving.certificate, SOCKETS);
  const enrolled = await Promise.all(
    serving.joinTokens.map(async (joinToken, index) => {
      const host = new SimulatedHost({ name: `host-${index}`, authority });
      return { host, ...(await enrol(client, host, joinToken)) };
    }),
  );
  const steady = await Promise.all(
    enrolled.map(async ({ host, token, challenge }) => {
      const { next } = await attest(client, token, host.evidence(challenge));
      return { token, nonce: next.nonce, evidence: host.steadyEvidence(next) };
    }),
  );
  client.close();
  const times: number[] = [];
  const begin = performance.now() + WARM_UP_MS;
  const end = begin + MEASURED_MS;
  const attesters = shared(steady, SOCKETS).map(async (hosts) => {
    const connection = await SteadyConnection.open(serving.url, serving.certificate);
    for (let now = 0; now < end; ) {
      for (const host of hosts) {
        const evidence = host.evidence(host.nonce);
        const sent = performance.now();
        const body = await connection.post('/api/agent/evidence', host.token, evidence);
        now = performance.now();
        if (now >= begin && now < end) times.push(now - sent);
        const { verdict, findings, next } = EvidenceAnswerCodec.decode(body);
        if (verdict === 'untrusted') throw new Error(JSON.stringify(findings));
        host.nonce = next.nonce;
      }
    }
    connection.close();
  });
  await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
  const before = await cpuSeconds();
  const ownBefore = process.cpuUsage();
  await Promise.all(attesters);
  const cpu = (await cpuSeconds()) - before;
  const own = process.cpuUsage(ownBefore);
  times.sort((a, b) => a - b);
  const at = (part: number): number => times[Math.floor(times.length * part)] ?? 0;
  const rate = times.length / (MEASURED_MS / 1000);
  return {
    rate,
    p50: at(0.5),
    p99: at(0.99),
    serverCpu: (cpu * 1e6) / times.length,
    loadCpu: (own.user + own.system) / times.length,
  };
}

/** Dealt out evenly. */
function shared<T>(items: readonly T[], parts: number): T[][] {
  return Array.from({ length: parts }, (_, part) => items.filter((_each, index) => index % parts === part));
}

/** Decoding and verifying the same evidence in this process, without HTTP and store. */
function verifyAlone(): number {
  const host = new SimulatedHost({ name: 'alone', authority: testAuthority('Benchmark') });
  const selection = { bank: 'sha256', pcrs: Array.from({ length: 16 }, (_, index) => index) } as const;
  const enrolment: Enrolment = {
    hostId: 'alone',
    akPublic: host.akPublic,
    selection,
    measurer: 'kernel',
    assurance: 'hardware',
  };
  const now = Date.now();
  const nonce = Buffer.alloc(32, 1);
  const ask = (state: Parameters<typeof requestFor>[0]) => ({
    ...requestFor(state, enrolment, undefined, now),
    nonce,
    issuedAt: now,
    expiresAt: now + 1000,
  });
  const first = verify({
    evidence: host.evidence(ask(undefined)),
    enrolment,
    reference: undefined,
    state: undefined,
    nonce,
    now,
  });
  const bytes = EvidenceCodec.encode(host.evidence(ask(first.state)));
  const start = performance.now();
  let rounds = 0;
  for (; performance.now() - start < 3000; rounds++) {
    const evidence = EvidenceCodec.decode(bytes);
    const result = verify({ evidence, enrolment, reference: undefined, state: first.state, nonce, now });
    if (!result.verified) throw new Error(JSON.stringify(result.findings));
  }
  return rounds / ((performance.now() - start) / 1000);
}

if (import.meta.main) await run();
