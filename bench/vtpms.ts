/** A thousand software TPMs in one process: what each takes of memory, enrolments and quotes a second; beside it swtpm, a process each. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { finished } from '../test/fixtures/finished.ts';
import { type RunningSwtpm, runSwtpm } from '../test/fixtures/running-swtpm.ts';
import { type Enrolled, enrol, quoteOf } from './vtpms-work.ts';

const COUNT = 1000;
const ROUNDS = 5;
/** Of swtpm, enough for a mean. */
const PEERS = 20;
const PEER_ROUNDS = 50;
/** kB each when idle. */
const AIM = 200;

interface Figures {
  /** Bytes for each TPM: made and waiting; with an AK loaded. */
  readonly idle: number;
  /** Of `idle`, what is alive; the rest is room that the process keeps. */
  readonly live?: number;
  readonly busy: number;
  /** A second, by one thread that asks one after the other. */
  readonly enrolments: number;
  readonly quotes: number;
}

async function ours(): Promise<Figures> {
  const script = join(import.meta.dirname, 'vtpms-process.ts');
  const args = ['--expose-gc', script, `${COUNT}`, `${ROUNDS}`];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}

function memoryOf(pid: number | undefined): number {
  const [, pss = '0'] = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')) ?? [];
  return Number(pss) * 1024;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

async function peers(): Promise<Figures> {
  const running: RunningSwtpm[] = [];
  try {
    for (let i = 0; i < PEERS; i++) running.push(await runSwtpm());
    const memory = (): number => mean(running.map(({ swtpm }) => memoryOf(swtpm.pid)));
    const idle = memory();
    const clients = await Promise.all(running.map((one) => one.client()));
    const began = performance.now();
    const enrolled: Enrolled[] = [];
    for (const client of clients) enrolled.push(await enrol(client));
    const enrolments = (PEERS / (performance.now() - began)) * 1000;
    const busy = memory();
    const start = performance.now();
    for (let round = 0; round < PEER_ROUNDS; round++) for (const one of enrolled) await quoteOf(one);
    return { idle, busy, enrolments, quotes: ((PEERS * PEER_ROUNDS) / (performance.now() - start)) * 1000 };
  } finally {
    for (const one of running) await one[Symbol.asyncDispose]();
  }
}

const kB = (bytes: number): string => `${Math.round(bytes / 1000)} kB`;
const rate = (value: number): string => `${Math.round(value).toLocaleString('en')}/s`;

function describe({ idle, live, busy, enrolments, quotes }: Figures): string {
  const alive = live === undefined ? '' : ` (${kB(live)} alive)`;
  return `${kB(idle)} each idle${alive}, ${kB(busy)} with an AK loaded; ${rate(enrolments)} enrolled, ${rate(quotes)} quotes`;
}

export async function run(): Promise<void> {
  const figures = await ours();
  console.log(
    `${COUNT.toLocaleString('en')} software TPMs in one process, P-256 (aim ${AIM} kB each idle): ${describe(figures)}`,
  );
  if ((await finished('sh', ['-c', 'command -v swtpm'])).status !== 0) {
    console.log('swtpm is not installed (Debian package swtpm)');
    return;
  }
  const peer = await peers();
  console.log(`${PEERS} of swtpm, a process each, over sockets: ${describe(peer)}`);
  const times = (ratio: number): string => `${ratio.toFixed(1)} times`;
  console.log(
    `memory 1/${(peer.idle / figures.idle).toFixed(0)}, enrolments ${times(figures.enrolments / peer.enrolments)}, ` +
      `quotes ${times(figures.quotes / peer.quotes)}`,
  );
}

if (import.meta.main) await run();
