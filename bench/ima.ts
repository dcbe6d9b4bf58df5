/** `assay ima replay` of a million ima-ng entries as a whole process, beside a replay entry by entry as others do it. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digest } from '../src/bytes/index.ts';
import { encodeImaNgEntry, ListReplay } from '../src/ima/index.ts';

const ENTRIES = 1_000_000;
const BASELINE_ENTRIES = 100_000;
const ASSAY = join(import.meta.dirname, '../bin/assay');
/** Run inside the measured process: its own CPU time and peak memory, start-up included. */
const REPORT = `data:text/javascript,process.on('exit',()=>{process.stderr.write('USAGE'+JSON.stringify(process.resourceUsage()))})`;

function writeList(path: string): void {
  const fd = openSync(path, 'w');
  for (let first = 0; first < ENTRIES; first += 10_000) {
    const batch = Array.from({ length: 10_000 }, (_, i) => {
      const name = `/usr/lib/x86_64-linux-gnu/package-${(first + i) % 997}/libfile-${first + i}.so.1`;
      return encodeImaNgEntry(10, 'sha256', digest('sha256', Buffer.from(name)), name).bytes;
    });
    writeSync(fd, Buffer.concat(batch));
  }
  closeSync(fd);
}

function measureProcess(args: readonly string[]): { cpuSeconds: number; megabytes: number; stdout: string } {
  const env = { ...process.env, NODE_OPTIONS: `--import=${REPORT}` };
  const child = spawnSync(ASSAY, args, { encoding: 'utf8', env });
  // The last one: a first run in a checkout sets itself up, with processes of its own.
  const usage = /.*USAGE(\{.*\})/s.exec(child.stderr)?.[1];
  if (child.status !== 0 || usage === undefined) throw new Error(`assay failed: ${child.stderr}`);
  const { userCPUTime, systemCPUTime, maxRSS } = JSON.parse(usage);
  return { cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, megabytes: maxRSS / 1024, stdout: child.stdout };
}

function cpuSecondsOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** One object and three hash states for each entry. */
function replayNaively(list: Buffer, entries: number): string {
  let pcr: Buffer = Buffer.alloc(32);
  let at = 0;
  for (let i = 0; i < entries; i++) {
    const nameLength = list.readUInt32LE(at + 24);
    const dataAt = at + 28 + nameLength + 4;
    const end = dataAt + list.readUInt32LE(dataAt - 4);
    const entry = { stored: list.toString('hex', at + 4, at + 24), data: list.subarray(dataAt, end) };
    if (createHash('sha1').update(entry.data).digest('hex') !== entry.stored) throw new Error('bad template digest');
    pcr = createHash('sha256').update(pcr).update(createHash('sha256').update(entry.data).digest()).digest();
    at = end;
  }
  return pcr.toString('hex');
}

const rate = (entries: number, seconds: number): string => `${(entries / seconds / 1e6).toFixed(2)} M entries/s`;

export async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'assay-bench-ima-'));
  try {
    const path = join(folder, 'list');
    writeList(path);
    for (const hash of ['sha256', 'sha1,sha256']) {
      const { cpuSeconds, megabytes } = measureProcess(['ima', 'replay', path, '--json', '--hash', hash]);
      const figures = `${cpuSeconds.toFixed(2)} s CPU, ${megabytes.toFixed(0)} MB`;
      console.log(`ima replay, 1M ima-ng, ${hash}, whole process: ${figures} (aim for sha256: 1.3 s, 400 MB)`);
    }
    benchInProcess(readFileSync(path));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function benchInProcess(list: Buffer): void {
  const replay = new ListReplay({ banks: ['sha256'] });
  const ours = cpuSecondsOf(() => replay.run(list));
  const naive = cpuSecondsOf(() => replayNaively(list, BASELINE_ENTRIES));
  const check = new ListReplay({ banks: ['sha256'] });
  check.run(list, { onEntry: () => check.entries < BASELINE_ENTRIES });
  if (check.pcrs().sha256?.['10'] !== replayNaively(list, BASELINE_ENTRIES)) throw new Error('the two replays differ');
  const factor = naive / BASELINE_ENTRIES / (ours / ENTRIES);
  const figures = `${rate(ENTRIES, ours)}; baseline, object by object: ${rate(BASELINE_ENTRIES, naive)}`;
  console.log(`ima replay in process, sha256 and template digests: ${figures} (${factor.toFixed(1)} times)`);
}

if (import.meta.main) await run();
