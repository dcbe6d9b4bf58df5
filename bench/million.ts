/**
 * A first measurement list of a million entries, sent in the agent's parts, and what it costs the other hosts meanwhile:
 * how long the server's event loop was held up at most, and how long another host waited for its verdicts. Beside it:
 * the other host alone.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MAX_PART } from '../src/agent/index.ts';
import { testAuthority } from '../test/fleet/authority.ts';
import { attest, Client, enrol } from '../test/fleet/service.ts';
import { SimulatedHost } from '../test/fleet/simulated-host.ts';
import { serve } from './server.ts';

const ENTRIES = 1_000_000;
const QUIET_MS = 5000;

export async function run(): Promise<void> {
  const dataFolder = mkdtempSync(join(tmpdir(), 'assay-bench-million-'));
  const authority = testAuthority('Benchmark');
  const root = authority.certificate.toString('base64');
  const { serving, loopDelay, stop } = await serve({ dataFolder, root, joinTokens: 2 });
  const client = new Client(serving.url, serving.certificate);
  try {
    const long = new SimulatedHost({ name: 'long', authority });
    long.measureMany(paths(ENTRIES));
    long.partLimit = MAX_PART;
    const { token, challenge } = await enrol(client, long, serving.joinTokens[0] ?? '');
    const other = new SimulatedHost({ name: 'other', authority });
    const watched = await steady(client, other, serving.joinTokens[1] ?? '');
    await loopDelay();
    await delay(QUIET_MS);
    console.log(`the other host alone: ${watched.waits()}; event loop held up ${(await loopDelay()).toFixed(0)} ms`);
    const begun = performance.now();
    const parts: string[] = [];
    for (let next = challenge; ; ) {
      const evidence = long.evidence(next);
      const sent = performance.now();
      const answer = await attest(client, token, evidence);
      const took = performance.now() - sent;
      parts.push(`${took.toFixed(0)} ms (event loop held up ${(await loopDelay()).toFixed(0)} ms)`);
      next = answer.next;
      if (answer.verdict === undefined) continue;
      if (answer.measured !== ENTRIES + 1) throw new Error(JSON.stringify(answer.findings));
      break;
    }
    const whole = `${((performance.now() - begun) / 1000).toFixed(1)} s`;
    console.log(`${ENTRIES.toLocaleString('en')} entries, ${(long.imaLog.length / 1e6).toFixed(0)} MB, ${whole}:`);
    for (const [index, part] of parts.entries()) console.log(`  part ${index + 1}: ${part}`);
    console.log(`  the other host meanwhile: ${watched.waits()}`);
    await watched.stop();
  } finally {
    client.close();
    await stop();
    rmSync(dataFolder, { recursive: true, force: true });
  }
}

function* paths(count: number): Generator<[string, string]> {
  for (let index = 0; index < count; index++) yield [`/usr/lib/x86_64-linux-gnu/lib${index}.so`, `${index}`];
}

/** A host that attests every 20 ms. */
async function steady(client: Client, host: SimulatedHost, joinToken: string) {
  const { token, challenge } = await enrol(client, host, joinToken);
  let times: number[] = [];
  let isStopped = false;
  const running = (async () => {
    for (let next = challenge; !isStopped; await delay(20)) {
      const evidence = host.evidence(next);
      const sent = performance.now();
      ({ next } = await attest(client, token, evidence));
      times.push(performance.now() - sent);
    }
  })();
  return {
    waits: (): string => {
      const sorted = times.toSorted((a, b) => a - b);
      times = [];
      const at = (part: number): string => (sorted[Math.floor((sorted.length - 1) * part)] ?? 0).toFixed(1);
      return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms`;
    },
    stop: () => {
      isStopped = true;
      return running;
    },
  };
}

if (import.meta.main) await run();
