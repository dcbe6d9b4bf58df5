/**
 * Labelling and appraising a tree, whole processes of two threads, beside Debian's evmctl 1.4 (one thread is all it has)
 * and AIDE. Needs root: `security.` attributes. ASSAY_BENCH_FILES shrinks the tree; its files have 40 KB in the mean.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FILES = Number(process.env.ASSAY_BENCH_FILES ?? 50_000);
const MEAN_SIZE = 40_000;
const FILES_A_FOLDER = 25;
/** What of the tree evmctl signs: it takes milliseconds a file. */
const SAMPLE_PACKAGES = 4;
const FILES_A_PACKAGE = 500;
const SPREAD = 1.8;
const ASSAY = join(import.meta.dirname, '../bin/assay');

/** Sizes spread log-normally, as in /usr: half of the files below 8 KB. */
function sizes(): number[] {
  let seed = 1;
  const random = (): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return (seed + 1) / 2 ** 32;
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
  const raw = Array.from({ length: FILES }, () => Math.exp(SPREAD * normal()));
  const sum = raw.reduce((total, one) => total + one, 0);
  return raw.map((one) => Math.round((one / sum) * FILES * MEAN_SIZE));
}

function makeTree(tree: string): void {
  const noise = Buffer.alloc(1 << 26);
  for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE(Math.imul(at, 0x9e3779b1) >>> 0, at);
  for (const [index, size] of sizes().entries()) {
    const folder = join(
      tree,
      `package-${Math.floor(index / FILES_A_PACKAGE)}`,
      `folder-${Math.floor(index / FILES_A_FOLDER)}`,
    );
    if (index % FILES_A_FOLDER === 0) mkdirSync(folder, { recursive: true });
    const from = (index * 4099) % (noise.length >> 1);
    writeFileSync(join(folder, `file-${index}.so`), noise.subarray(from, from + size));
  }
}

/** Of a whole process: seconds that passed, and seconds of processor that it took. */
interface Cost {
  readonly wall: number;
  readonly processor: number;
}

/** POSIX `times`: user and system time of the shell, then of its children. */
const TIMES = /^.*\n(\d+)m([\d.]+)s (\d+)m([\d.]+)s$/;

function cost(program: string, args: readonly string[]): Cost {
  const start = performance.now();
  const script = '"$@" >/dev/null && times';
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script, 'sh', program, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const wall = (performance.now() - start) / 1000;
  if (status !== 0) throw new Error(`${program} ${args.slice(0, 3).join(' ')}: ${status}: ${stderr.slice(-500)}`);
  const [userMinutes = 0, user = 0, systemMinutes = 0, system = 0] =
    TIMES.exec(stdout.trim())?.slice(1).map(Number) ?? [];
  return { wall, processor: userMinutes * 60 + user + systemMinutes * 60 + system };
}

function sum(costs: readonly Cost[]): Cost {
  const total = (field: keyof Cost): number => costs.reduce((all, one) => all + one[field], 0);
  return { wall: total('wall'), processor: total('processor') };
}

const times = ({ wall, processor }: Cost, factor: number): Cost => ({
  wall: wall * factor,
  processor: processor * factor,
});

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

interface Race {
  readonly what: string;
  readonly aim: number;
  readonly peerName: string;
  readonly ours: () => Cost;
  readonly peer: () => Cost;
}

const ROUNDS = 3;

/**
 * One after the other, several times: whatever else the machine does then meets both. The ratio is the median of the
 * rounds', the processor's that of two cores that have nothing else to do.
 */
function race({ what, aim, peerName, ours, peer }: Race): void {
  if (!has(peerName)) {
    const { wall } = ours();
    console.log(`${what}: ${(FILES / wall).toFixed(0)} files/s; ${peerName} is not installed (aim ${aim})`);
    return;
  }
  const rounds = Array.from({ length: ROUNDS }, () => ({ ours: ours(), peer: peer() }));
  const wall = median(rounds.map((round) => round.peer.wall / round.ours.wall));
  const processor = median(rounds.map((round) => (JOBS * round.peer.processor) / round.ours.processor));
  const told = (who: 'ours' | 'peer'): string => {
    const seconds = (field: keyof Cost): string => median(rounds.map((round) => round[who][field])).toFixed(2);
    return `${seconds('wall')} s, ${seconds('processor')} s of processor`;
  };
  const ratios = `${wall.toFixed(1)} times, by processor ${processor.toFixed(1)} (aim ${aim})`;
  console.log(`${what}: ${told('ours')}; ${peerName} ${told('peer')}: ${ratios}`);
}

const JOBS = 2;
const assay = (...args: readonly string[]): Cost => cost(ASSAY, args);
const assayInThreads = (...args: readonly string[]): Cost => assay(...args, '--jobs', `${JOBS}`);

export async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'assay-bench-label-'));
  try {
    const tree = join(folder, 'tree');
    makeTree(tree);
    console.log(`a tree of ${FILES} files, ${((FILES * MEAN_SIZE) / 1e9).toFixed(1)} GB, 2 threads, whole processes:`);
    benchHashes(folder, tree);
    for (const key of ['P-256', 'RSA-2048'] as const) benchKey(folder, tree, key);
    benchAide(folder, tree);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function benchHashes(folder: string, tree: string): void {
  const journal = join(folder, 'journal');
  const evmctl = (): Cost => cost('evmctl', ['ima_hash', '-a', 'sha256', '-r', tree]);
  const cleared = (work: () => Cost) => (): Cost => {
    assay('label', 'clear', tree);
    return work();
  };
  assay('label', tree);
  const label = (): Cost => assayInThreads('label', tree);
  race({ what: 'hash labels', aim: 1.7, peerName: 'evmctl', ours: cleared(label), peer: cleared(evmctl) });
  assay('label', tree, '--journal', journal);
  const again = (): Cost => assayInThreads('label', tree, '--journal', journal);
  // Their last label is evmctl's own: the content of the attribute is the same, its time is not.
  again();
  race({
    what: 'hash labels again, nothing changed',
    aim: 5,
    peerName: 'evmctl',
    ours: again,
    peer: () => {
      const taken = evmctl();
      again();
      return taken;
    },
  });
}

function makeKey(folder: string, kind: 'P-256' | 'RSA-2048'): { key: string; certificate: string } {
  const key = join(folder, `${kind}.pem`);
  const certificate = join(folder, `${kind}.der`);
  const algorithm = kind === 'P-256' ? ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] : ['rsa:2048'];
  const subject = ['-nodes', '-subj', `/CN=bench ${kind}`, '-keyout', key, '-outform', 'DER', '-out', certificate];
  cost('openssl', ['req', '-x509', '-newkey', ...algorithm, ...subject]);
  return { key, certificate };
}

function benchKey(folder: string, tree: string, kind: 'P-256' | 'RSA-2048'): void {
  const { key, certificate } = makeKey(folder, kind);
  const sample = Array.from({ length: SAMPLE_PACKAGES }, (_, index) => join(tree, `package-${index}`));
  const evmctlSigns = (): Cost => {
    const costs = sample.map((part) => cost('evmctl', ['ima_sign', '-a', 'sha256', '-k', key, '-r', part]));
    return times(sum(costs), FILES / (SAMPLE_PACKAGES * FILES_A_PACKAGE));
  };
  const naming = ['--sign', key, '--cert', certificate];
  race({
    what: `sign, ${kind}`,
    aim: kind === 'P-256' ? 15 : 6,
    peerName: 'evmctl',
    ours: () => assayInThreads('label', tree, ...naming),
    peer: evmctlSigns,
  });
  assay('label', tree, ...naming);
  race({
    what: `verify, ${kind}`,
    aim: 3,
    peerName: 'evmctl',
    ours: () => assayInThreads('appraise', tree, '--key', certificate, '--require-signature'),
    // It takes the files by name, as many as one command line holds.
    peer: () => cost('find', [tree, '-type', 'f', '-exec', 'evmctl', 'ima_verify', '-k', certificate, '{}', '+']),
  });
}

function benchAide(folder: string, tree: string): void {
  const configuration = join(folder, 'aide.conf');
  const database = `database_out=file:${join(folder, 'aide.db')}\ndatabase_in=file:${join(folder, 'none.db')}`;
  writeFileSync(configuration, `${database}\ngzip_dbout=no\n${tree} s+sha256\n`);
  race({
    what: 'baseline of the tree (hash labels)',
    aim: 5,
    peerName: 'aide',
    ours: () => {
      assay('label', 'clear', tree);
      return assayInThreads('label', tree);
    },
    peer: () => cost('aide', ['--init', `--config=${configuration}`]),
  });
}

if (import.meta.main) await run();
