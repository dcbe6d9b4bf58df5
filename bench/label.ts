/**
 * Labelling and appraising a tree, whole processes of two threads, beside Debian's evmctl 1.4 (one thread is all it has)
 * and AIDE. Needs root: `security.` attributes. ASSAY_BENCH_FILES shrinks the tree; its files have 40 KB in the mean.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FILES = Number(process.env.ASSAY_BENCH_FILES ?? 50_000);
const MEAN_SIZE = 40_000;
const FILES_A_FOLDER = 25;
/** What of the tree evmctl signs and verifies: it takes milliseconds a file. */
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

function seconds(
  program: string,
  args: readonly string[],
  works = (status: number | null): boolean => status === 0,
): number {
  const start = performance.now();
  const { status, stderr } = spawnSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'], maxBuffer: 1 << 28 });
  const taken = (performance.now() - start) / 1000;
  if (!works(status))
    throw new Error(`${program} ${args.slice(0, 3).join(' ')}: ${status}: ${String(stderr).slice(-500)}`);
  return taken;
}

/** The better of several: other processes only ever make it slower. */
function best(rounds: number, work: () => number): number {
  return Math.min(...Array.from({ length: rounds }, work));
}

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

function line(what: string, ours: number, peer: number | undefined, peerName: string, aim: number): void {
  const rate = `${(FILES / ours).toFixed(0)} files/s (${ours.toFixed(2)} s)`;
  const beside =
    peer === undefined
      ? `${peerName} is not installed`
      : `${peerName} ${(FILES / peer).toFixed(0)} files/s (${peer.toFixed(2)} s): ${(peer / ours).toFixed(1)} times`;
  console.log(`${what}: ${rate}; ${beside} (aim ${aim})`);
}

const assay = (...args: readonly string[]): number => seconds(ASSAY, args);

export async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'assay-bench-label-'));
  try {
    const tree = join(folder, 'tree');
    makeTree(tree);
    console.log(`a tree of ${FILES} files, ${((FILES * MEAN_SIZE) / 1e9).toFixed(1)} GB, 2 threads, whole processes:`);
    const hashes = benchHashes(folder, tree);
    for (const key of ['P-256', 'RSA-2048'] as const) benchKey(folder, tree, key);
    benchAide(folder, tree, hashes);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function benchHashes(folder: string, tree: string): number {
  const journal = join(folder, 'journal');
  const clear = (): number => assay('label', 'clear', tree);
  assay('label', tree);
  const ours = best(3, () => {
    clear();
    return assay('label', tree, '--jobs', '2');
  });
  const peer = has('evmctl')
    ? best(3, () => {
        clear();
        return seconds('evmctl', ['ima_hash', '-a', 'sha256', '-r', tree]);
      })
    : undefined;
  line('hash labels', ours, peer, 'evmctl', 1.7);
  assay('label', tree, '--journal', journal);
  const again = best(3, () => assay('label', tree, '--jobs', '2', '--journal', journal));
  const peerAgain = has('evmctl') ? seconds('evmctl', ['ima_hash', '-a', 'sha256', '-r', tree]) : undefined;
  line('hash labels again, nothing changed', again, peerAgain, 'evmctl', 5);
  return ours;
}

function makeKey(folder: string, kind: 'P-256' | 'RSA-2048'): { key: string; certificate: string } {
  const key = join(folder, `${kind}.pem`);
  const certificate = join(folder, `${kind}.der`);
  const algorithm = kind === 'P-256' ? ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] : ['rsa:2048'];
  const subject = ['-nodes', '-subj', `/CN=bench ${kind}`, '-keyout', key, '-outform', 'DER', '-out', certificate];
  seconds('openssl', ['req', '-x509', '-newkey', ...algorithm, ...subject]);
  return { key, certificate };
}

function benchKey(folder: string, tree: string, kind: 'P-256' | 'RSA-2048'): void {
  const sample = Array.from({ length: SAMPLE_PACKAGES }, (_, index) => join(tree, `package-${index}`));
  const { key, certificate } = makeKey(folder, kind);
  const scale = FILES / (SAMPLE_PACKAGES * FILES_A_PACKAGE);
  const sign = best(2, () => assay('label', tree, '--jobs', '2', '--sign', key, '--cert', certificate));
  const files = sample.flatMap(filesBelow);
  const peerSign = has('evmctl')
    ? sample.reduce((sum, name) => sum + seconds('evmctl', ['ima_sign', '-a', 'sha256', '-k', key, '-r', name]), 0) *
      scale
    : undefined;
  line(`sign, ${kind}`, sign, peerSign, 'evmctl', kind === 'P-256' ? 15 : 6);
  assay('label', tree, '--sign', key, '--cert', certificate);
  const verify = best(3, () => assay('appraise', tree, '--jobs', '2', '--key', certificate, '--require-signature'));
  const peerVerify = has('evmctl')
    ? best(3, () => seconds('evmctl', ['ima_verify', '-k', certificate, ...files])) * scale
    : undefined;
  line(`verify, ${kind}`, verify, peerVerify, 'evmctl', 3);
}

function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

function benchAide(folder: string, tree: string, ours: number): void {
  const configuration = join(folder, 'aide.conf');
  const database = `database_out=file:${join(folder, 'aide.db')}\ndatabase_in=file:${join(folder, 'none.db')}`;
  writeFileSync(configuration, `${database}\ngzip_dbout=no\n${tree} s+sha256\n`);
  const peer = has('aide') ? seconds('aide', ['--init', `--config=${configuration}`]) : undefined;
  line('baseline of the tree (hash labels)', ours, peer, 'aide --init', 5);
}

if (import.meta.main) await run();
