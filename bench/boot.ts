/** An event log of 120 events to PCRs, in process, beside tpm2_eventlog as a process; a fleet's boots compared with a reference. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeLog, parseBootLog, replayBootLog } from '../src/boot/index.ts';
import { digest } from '../src/bytes/index.ts';
import { judgeComponents, mergeBoots } from '../src/reference/index.ts';
import { agileLog, specIdPayload } from '../test/fixtures/boot-logs.ts';

const EVENTS = 120;
const EV_SEPARATOR = 0x04;
const ROUNDS = 2000;
const PEER_ROUNDS = 20;
const BOOTS = 10_000;

/** SHA-1 and SHA-256 banks, PCR 0–9 in turn. */
function makeLog(): Buffer {
  const specId = specIdPayload([
    [0x0004, 20],
    [0x000b, 32],
  ]);
  const data = Buffer.alloc(4);
  const digests = [[0x0004, digest('sha1', data)] as const, [0x000b, digest('sha256', data)] as const];
  const events = Array.from({ length: EVENTS - 1 }, (_, i) => ({ pcr: i % 10, type: EV_SEPARATOR, digests, data }));
  return agileLog(specId, events);
}

function medianMs(rounds: number, work: () => void): number {
  const times = Array.from({ length: rounds }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  }).sort((a, b) => a - b);
  return times[rounds >> 1] ?? 0;
}

export async function run(): Promise<void> {
  const log = makeLog();
  const cold = medianMs(1, () => replayBootLog(parseBootLog(log)));
  const warm = medianMs(ROUNDS, () => replayBootLog(parseBootLog(log)));
  const ours = `${warm.toFixed(3)} ms in process (first time ${cold.toFixed(2)} ms; aim 1 ms)`;
  console.log(`boot log of ${EVENTS} events to PCRs, two banks: ${ours}; baseline: ${peer(log)}`);
  const decoded = medianMs(ROUNDS, () => {
    const read = parseBootLog(log);
    decodeLog(read);
    replayBootLog(read);
  });
  console.log(`the same, decoded too: ${decoded.toFixed(3)} ms (aim 1 ms)`);
  const published = publishedLog();
  if (published !== undefined) {
    const seconds = (fleetMs(published) / 1000).toFixed(2);
    console.log(`${BOOTS} logs of a real boot read and compared with a reference: ${seconds} s (aim 10 s)`);
  }
  console.log(
    `${BOOTS} such logs read and compared with a reference: ${(fleetMs(log) / 1000).toFixed(2)} s (aim 10 s)`,
  );
}

/** A cloud machine's, shim and GRUB, 112 events: keys with certificates, boot options, commands. */
function publishedLog(): Buffer | undefined {
  const corpus = process.env.ASSAY_CORPUS;
  return corpus === undefined ? undefined : readFileSync(join(corpus, 'event-logs/event-gce-ubuntu-2104-log.bin'));
}

function fleetMs(log: Buffer): number {
  const reference = mergeBoots([parseBootLog(log)]);
  const proven = new Set(reference.map(({ pcr }) => pcr));
  const start = performance.now();
  for (let boot = 0; boot < BOOTS; boot++) {
    const differences = judgeComponents(reference, parseBootLog(log), 'sha256', proven);
    if (differences.length > 0) throw new Error('the boot that the reference was made from differs from it');
  }
  return performance.now() - start;
}

function peer(log: Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), 'assay-bench-boot-'));
  try {
    const path = join(folder, 'log');
    writeFileSync(path, log);
    const probe = spawnSync('tpm2_eventlog', [path]);
    if (probe.status !== 0) return 'tpm2_eventlog is not installed (Debian package tpm2-tools)';
    return `tpm2_eventlog ${medianMs(PEER_ROUNDS, () => spawnSync('tpm2_eventlog', [path])).toFixed(1)} ms a process`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) await run();
