/**
 * Executions under the guard beside the same without it, and beside fapolicyd (Debian's) over the same files: a small Debian
 * (tools/debian-base) on an image of its own. Needs root and ASSAY_DEBIAN_BASE.
 */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { labelTree } from '../src/appraise/index.ts';
import { Guard } from '../src/guard/index.ts';
import { ext4Mount } from '../test/fixtures/ext4-mount.ts';
import { NO_KEYS, rulesOf } from '../test/fixtures/guarded.ts';
import { inTree, unpackDebian } from '../test/guard/debian-tree.ts';

const exec = promisify(execFile);

const EXECUTIONS = 2000;
const ROUNDS = 5;
/** A round, and rounds that are measured. */
const OPENS = 200_000;
const OPEN_ROUNDS = 3;
const LARGE_SIZE = 50 * 2 ** 20;
const LARGE = '/usr/bin/large';

/** A shell that starts a program again and again; prints the nanoseconds of one execution. */
const EXECUTE = `begin=$(date +%s%N); i=0
while [ $i -lt ${EXECUTIONS} ]; do /bin/true; i=$((i+1)); done
echo $(( ($(date +%s%N) - begin) / ${EXECUTIONS} ))`;

/** Nanoseconds of the first execution of a large program, and of the next. */
const FIRST = `a=$(date +%s%N); ${LARGE}; b=$(date +%s%N); ${LARGE}; c=$(date +%s%N); echo $((b-a)) $((c-b))`;

async function numbers(tree: string, script: string): Promise<number[]> {
  const { stdout } = await exec('chroot', [tree, 'sh', '-c', script]);
  return stdout.trim().split(' ').map(Number);
}

async function executions(tree: string): Promise<number> {
  const [each = Number.NaN] = await numbers(tree, EXECUTE);
  return each;
}

async function guarding<T>(tree: string, work: () => Promise<T>, rule = 'appraise func=BPRM_CHECK'): Promise<T> {
  const rules = rulesOf(rule);
  const guard = await Guard.start({ places: [tree], rules, mode: 'enforce', keys: NO_KEYS });
  try {
    return await work();
  } finally {
    await guard.stop();
  }
}

/** Nothing of this machine is in its sight: the image is the root of a mount namespace of its own, and all that is watched. */
const FAPOLICYD = `set -eu
mount --bind "$1" "$1"; cd "$1"; pivot_root . old; exec chroot . sh -euc '
mount -t proc proc /proc; umount -l /old
mount -t tmpfs run /run; mkdir -p /run/fapolicyd
mount -t tmpfs dev /dev; mknod -m 666 /dev/null c 1 3; mknod -m 444 /dev/urandom c 1 9; mknod -m 444 /dev/random c 1 8
[ "$(grep -c ext4 /proc/mounts)" = 1 ]
fapolicyd --debug-deny >/run/log 2>&1 & pid=$!
until grep -q "Starting to listen" /run/log; do sleep 0.1; done
sleep 1
${EXECUTE}
kill $pid; wait $pid || true'`;

/** Its rules for programs: what is trusted runs, and nothing else. */
const RULES = 'allow perm=open all : all\nallow perm=execute all : trust=1\ndeny_audit perm=execute all : all\n';

function configureFapolicyd(tree: string, integrity: 'none' | 'sha256'): void {
  const folder = join(tree, 'etc/fapolicyd');
  const set: Readonly<Record<string, string>> = {
    watch_fs: 'ext4',
    trust: 'file',
    integrity,
    uid: 'root',
    gid: 'root',
  };
  const lines = readFileSync(join(folder, 'fapolicyd.conf'), 'utf8').split('\n');
  const configured = lines.map((line) => {
    const name = line.split(' ')[0] ?? '';
    return name in set ? `${name} = ${set[name]}` : line;
  });
  writeFileSync(join(folder, 'fapolicyd.conf'), configured.join('\n'));
  writeFileSync(join(folder, 'compiled.rules'), RULES);
  writeFileSync(join(folder, 'fapolicyd.trust'), trustedFiles(tree).join(''));
}

function trustedFiles(tree: string): string[] {
  return readdirSync(join(tree, 'usr'), { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || path.includes(' ')) return [];
    const content = readFileSync(path);
    const digest = createHash('sha256').update(content).digest('hex');
    return [`${path.slice(tree.length)} ${content.length} ${digest}\n`];
  });
}

async function underFapolicyd(tree: string, integrity: 'none' | 'sha256'): Promise<number> {
  configureFapolicyd(tree, integrity);
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', FAPOLICYD, 'sh', tree];
  const { stdout } = await exec('unshare', args);
  return Number(stdout.trim().split('\n').at(-1));
}

function makeLarge(tree: string): void {
  // What /bin/true is, with something behind it.
  const program = readFileSync(join(tree, 'bin/true'));
  writeFileSync(join(tree, LARGE), Buffer.concat([program, Buffer.alloc(LARGE_SIZE - program.length, 1)]));
  chmodSync(join(tree, LARGE), 0o755);
}

/** In turn, so that what else the machine does slows all alike; of each the best. */
async function measure(tree: string): Promise<void> {
  const ways: Readonly<Record<string, () => Promise<number>>> = {
    'nothing watches': () => executions(tree),
    'the guard, decided from what is known (aim 15 %)': () => guarding(tree, () => executions(tree)),
    'the guard, immutable files (aim 5 %)': () => immutably(tree, () => guarding(tree, () => executions(tree))),
    'fapolicyd, integrity = none': () => underFapolicyd(tree, 'none'),
    'fapolicyd, integrity = sha256': () => underFapolicyd(tree, 'sha256'),
  };
  const best: Record<string, number> = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, way] of Object.entries(ways)) best[name] = Math.min(best[name] ?? Infinity, await way());
  }
  const [base = Number.NaN] = Object.values(best);
  for (const [name, each] of Object.entries(best)) {
    const more = each === base ? '' : `${((each / base - 1) * 100).toFixed(1)} % more`;
    console.log(`${name.padEnd(50)} ${(each / 1000).toFixed(0).padStart(6)} µs  ${more}`);
  }
  await guarding(tree, () => first(tree));
  await guarding(tree, () => opens(tree), 'appraise func=FILE_CHECK mask=MAY_READ');
}

/** Opens a file again and again, in each of several processes. */
const OPEN = `for i in 1 2 3 4; do perl -e 'for (1..${OPENS / 4}) { open F, "<", "/etc/hostname" or die; close F }' & done; wait`;

/** What waits is bounded by the threads that open, and what is known of files by a table: memory does not grow with events. */
async function opens(tree: string): Promise<void> {
  await exec('chroot', [tree, 'sh', '-c', OPEN]);
  const before = process.memoryUsage().rss;
  const start = performance.now();
  for (let round = 0; round < OPEN_ROUNDS; round++) await exec('chroot', [tree, 'sh', '-c', OPEN]);
  const seconds = (performance.now() - start) / 1000;
  const grown = (process.memoryUsage().rss - before) / 2 ** 20;
  const each = Math.round((OPEN_ROUNDS * OPENS) / seconds);
  console.log(
    `${OPEN_ROUNDS * OPENS} opens by 4 processes as fast as they can: ${each} a second, the guard's memory ${grown.toFixed(1)} MiB more`,
  );
}

async function immutably<T>(tree: string, work: () => Promise<T>): Promise<T> {
  const set = (how: '+i' | '-i') =>
    execFileSync('find', [join(tree, 'usr'), '-type', 'f', '-exec', 'chattr', how, '{}', '+']);
  set('+i');
  try {
    return await work();
  } finally {
    set('-i');
  }
}

async function first(tree: string): Promise<void> {
  const [took = 0, next = 0] = await numbers(tree, FIRST);
  const start = performance.now();
  createHash('sha256')
    .update(readFileSync(join(tree, LARGE)))
    .digest();
  const hashing = performance.now() - start;
  const more = (took - next) / 1e6 - hashing;
  console.log(
    `first execution of a program of 50 MB: ${(took / 1e6).toFixed(1)} ms, which is its hash (${hashing.toFixed(1)} ms) and ${more.toFixed(1)} ms (aim 2 ms)`,
  );
}

export async function run(): Promise<void> {
  const archive = process.env.ASSAY_DEBIAN_BASE;
  if (archive === undefined || process.getuid?.() !== 0) {
    console.log('needs root, and ASSAY_DEBIAN_BASE=$(tools/debian-base FOLDER)');
    return;
  }
  const ends: (() => void)[] = [];
  try {
    const { tree } = ext4Mount({ after: (end) => ends.push(end) }, { megabytes: 1500 });
    await unpackDebian(archive, tree);
    await inTree(tree, 'apt-get update -q; apt-get install -y -q --no-install-recommends fapolicyd');
    mkdirSync(join(tree, 'old'));
    makeLarge(tree);
    await labelTree(tree);
    console.log(`one of ${EXECUTIONS} executions, the best of ${ROUNDS} rounds:`);
    await measure(tree);
  } finally {
    for (const end of ends.toReversed()) end();
  }
}
