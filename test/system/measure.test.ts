/** The agent's measuring on this very machine: real processes, real deletions, fanotify where the user is root. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FileMeasurer, HostMeasurer, MeasurementLog, type PcrExtender, walkProcesses } from '../../src/agent/index.ts';
import { digest } from '../../src/bytes/index.ts';
import { ListReplay } from '../../src/ima/index.ts';

const isRoot = process.getuid?.() === 0;
const asRoot = { skip: isRoot ? false : 'needs root' };

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'assay-measure-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A SHA-256 bank in memory. */
function memoryPcrs(): PcrExtender & { pcr10(): string } {
  let value: Buffer = Buffer.alloc(32);
  return {
    kind: 'software',
    boot: async () => ({ resetCount: 1, restartCount: 0 }),
    read: async (pcrs) => ({
      sha256: Object.fromEntries(pcrs.map((pcr) => [pcr, pcr === 10 ? value : Buffer.alloc(32)])),
    }),
    extend: async (_, { sha256 = Buffer.alloc(0) }) => {
      value = digest('sha256', value, sha256);
    },
    pcr10: () => value.toString('hex'),
  };
}

async function running(t: TestContext, program: string, ...args: string[]): Promise<ChildProcess> {
  const child = spawn(program, args, { stdio: 'ignore' });
  t.after(() => void child.kill('SIGKILL'));
  await once(child, 'spawn');
  return child;
}

const sha256Of = (path: string) => digest('sha256', readFileSync(path)).toString('hex');
const mapsOf = (child: ChildProcess) => readFileSync(`/proc/${child.pid}/maps`, 'latin1');
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

async function eventually<T>(what: string, look: () => T | undefined): Promise<T> {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    const found = look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${what}: not seen within 10 s`);
}

test('what this process runs is measured by the digest of its file', () => {
  const { files } = walkProcesses(new FileMeasurer());
  const node = files.find((file) => Buffer.from(file.path).toString() === realpathSync(process.execPath));
  assert.equal(hex(node?.sha256 ?? new Uint8Array()), sha256Of(process.execPath));
});

test('a replaced and a deleted program are listed under their path by the content in use, with their process', async (t) => {
  const folder = temporaryFolder(t);
  const [replaced, deleted] = [join(folder, 'replaced'), join(folder, 'deleted')];
  for (const program of [replaced, deleted]) copyFileSync('/bin/sleep', program);
  const inUse = sha256Of(replaced);
  const children = [await running(t, replaced, '60'), await running(t, deleted, '60')];
  await eventually('exec', () =>
    readFileSync(`/proc/${children[1]?.pid}/maps`).includes('/deleted') ? true : undefined,
  );
  copyFileSync('/bin/true', join(folder, 'new'));
  renameSync(join(folder, 'new'), replaced);
  rmSync(deleted);

  const { files, stale } = walkProcesses(new FileMeasurer());
  for (const [path, kind, child] of [
    [replaced, 'replaced', children[0]],
    [deleted, 'deleted', children[1]],
  ] as const) {
    const measured = files.find((file) => Buffer.from(file.path).toString() === path);
    assert.equal(hex(measured?.sha256 ?? new Uint8Array()), inUse);
    assert.equal(measured?.state, kind);
    const observed = stale.find((one) => one.file === measured);
    assert.equal(observed?.kind, kind);
    assert.deepEqual(observed?.processes, [{ pid: child?.pid, command: kind }]);
  }
});

test('a replaced library is listed by the content that the process still has', async (t) => {
  const libm = walkProcesses(new FileMeasurer()).files.find((file) =>
    /\/libm\.so/.test(Buffer.from(file.path).toString()),
  );
  if (libm === undefined) return t.skip('no process maps libm');
  const library = join(temporaryFolder(t), 'library.so');
  copyFileSync(Buffer.from(libm.path), library);
  const child = spawn('/bin/sleep', ['60'], { stdio: 'ignore', env: { LD_PRELOAD: library } });
  t.after(() => void child.kill('SIGKILL'));
  await eventually('exec', () => (readFileSync(`/proc/${child.pid}/maps`).includes(library) ? true : undefined));
  writeFileSync(`${library}.new`, 'the update');
  renameSync(`${library}.new`, library);
  const { stale } = walkProcesses(new FileMeasurer());
  const observed = stale.find((one) => Buffer.from(one.file.path).toString() === library);
  assert.equal(observed?.kind, 'replaced');
  assert.deepEqual(observed?.file.sha256, libm.sha256);
  assert.deepEqual(observed?.processes, [{ pid: child.pid, command: 'sleep' }]);
});

test('a name with a newline, blanks and bytes that are no UTF-8 is listed byte by byte', asRoot, async (t) => {
  const folder = temporaryFolder(t);
  const path = Buffer.concat([Buffer.from(`${folder}/a\n b \\012 (deleted)`), Buffer.of(0xff)]);
  writeFileSync(path, readFileSync('/bin/sleep'), { mode: 0o755 });
  // A shell passes the bytes on; Node's spawn takes text only.
  writeFileSync(join(folder, 'start.sh'), Buffer.concat([Buffer.from("exec '"), path, Buffer.from("' 60\n")]));
  const child = await running(t, '/bin/sh', join(folder, 'start.sh'));
  await eventually('exec', () => (readFileSync(`/proc/${child.pid}/maps`).includes(0xff) ? true : undefined));
  const { files } = walkProcesses(new FileMeasurer());
  assert.ok(files.some((file) => path.equals(file.path) && file.state === 'on-disk'));
});

test('a program of another mount namespace is listed apart from ours, not left out', asRoot, async (t) => {
  const folder = temporaryFolder(t);
  const script = `mount -t tmpfs none ${folder} && cp /bin/sleep ${folder}/hidden && exec ${folder}/hidden 60`;
  const child = await running(t, 'unshare', '--mount', '/bin/sh', '-c', script);
  await eventually('exec', () => (readFileSync(`/proc/${child.pid}/maps`).includes('/hidden') ? true : undefined));
  const { files } = walkProcesses(new FileMeasurer());
  const hidden = files.find((file) => Buffer.from(file.path).toString() === `/@namespace${folder}/hidden`);
  assert.equal(hidden?.state, 'elsewhere');
  assert.equal(hex(hidden?.sha256 ?? new Uint8Array()), sha256Of('/bin/sleep'));
  // What it shares with us is ours.
  const ownLibc = files.filter((file) => /\/libc\.so/.test(Buffer.from(file.path).toString()));
  assert.ok(ownLibc.every((file) => file.state === 'on-disk'));
});

test("a program named as the kernel's own memory is listed", asRoot, async (t) => {
  const program = '/bin/busybox'; // needs no library in the root that it gets
  if (!existsSync(program)) return t.skip('needs busybox-static');
  const root = temporaryFolder(t);
  const script = `mount -t tmpfs none ${root} && cp ${program} ${root}/i915 && cd ${root} && mkdir old && pivot_root . old && exec -a busybox /i915 sleep 60`;
  const child = await running(t, 'unshare', '-Urm', '/bin/bash', '-c', script);
  await eventually('exec', () => (/r-xp .* \/i915$/m.test(mapsOf(child)) ? true : undefined));
  const { files } = walkProcesses(new FileMeasurer());
  assert.ok(files.some((file) => Buffer.from(file.path).toString() === '/@namespace/i915'));
});

test("shared memory of the kernel's is skipped", asRoot, async (t) => {
  const code =
    'import mmap,time\nm=mmap.mmap(-1,4096,flags=mmap.MAP_SHARED,prot=mmap.PROT_READ|mmap.PROT_EXEC)\ntime.sleep(60)';
  if (spawnSync('python3', ['-c', 'import mmap']).status !== 0) return t.skip('needs python3');
  const child = await running(t, 'python3', '-c', code);
  await eventually('mapping', () => (mapsOf(child).includes('r-xs') ? true : undefined));
  const { files, skipped } = walkProcesses(new FileMeasurer());
  assert.ok(skipped > 0);
  assert.ok(!files.some((file) => Buffer.from(file.path).toString().includes('/dev/zero')));
});

test('a file of terabytes that is mapped is listed as too long, and measuring goes on', asRoot, async (t) => {
  if (spawnSync('python3', ['-c', 'import mmap']).status !== 0) return t.skip('needs python3');
  const sparse = join(temporaryFolder(t), 'sparse');
  writeFileSync(sparse, '');
  truncateSync(sparse, 2 ** 42);
  const code =
    "import mmap,sys,time\nf=open(sys.argv[1],'rb')\n" +
    'm=mmap.mmap(f.fileno(),4096,flags=mmap.MAP_PRIVATE,prot=mmap.PROT_READ|mmap.PROT_EXEC)\ntime.sleep(60)';
  const child = await running(t, 'python3', '-c', code, sparse);
  await eventually('mapping', () => (mapsOf(child).includes(sparse) ? true : undefined));
  const { fresh } = walkProcesses(new FileMeasurer());
  const listed = fresh.find((file) => Buffer.from(file.path).toString() === sparse);
  assert.equal(listed?.unmeasured, 'too-long');
  const marker = digest('sha256', Buffer.from(`assay unmeasured\0too-long\0${2 ** 42}`));
  assert.equal(hex(listed?.sha256 ?? new Uint8Array()), marker.toString('hex'));
});

test('a TPM that stops answering ends measuring with its error, told once', async (t) => {
  const tpm = memoryPcrs();
  const log = await MeasurementLog.open(join(temporaryFolder(t), 'ima'), tpm);
  t.after(() => log.close());
  tpm.extend = () => Promise.reject(new Error('no answer'));
  const failures: unknown[] = [];
  const measurer = new HostMeasurer({ log, fanotify: false, onFailure: (error) => failures.push(error) });
  await assert.rejects(measurer.ready, { message: 'no answer' });
  await measurer.stop();
  assert.equal(failures.length, 1);
});

for (const fanotify of [true, false]) {
  const means = fanotify ? 'fanotify' : 'polling';
  test(`a program that is started is listed and extended, by ${means}`, fanotify ? asRoot : {}, async (t) => {
    const folder = temporaryFolder(t);
    const tpm = memoryPcrs();
    const log = await MeasurementLog.open(join(folder, 'ima'), tpm);
    const listed = new Map<string, string>();
    const measurer = new HostMeasurer({
      log,
      fanotify,
      pollEvery: 100,
      onListed: (files) => {
        for (const file of files) listed.set(Buffer.from(file.path).toString(), hex(file.sha256));
      },
    });
    t.after(async () => {
      await measurer.stop();
      await log.close();
    });
    const first = await measurer.ready;
    assert.ok(log.entries >= first.fresh.length + 1); // more where a program was started meanwhile
    await eventually('watching', () => (measurer.state.by === means ? true : undefined));
    if (fanotify) {
      // Ended long before anyone could have looked at it.
      const script = join(folder, 'gone at once.sh');
      writeFileSync(script, '#!/bin/sh\nrm -- "$0"\n');
      chmodSync(script, 0o755);
      const digestOfScript = sha256Of(script);
      const start = performance.now();
      spawnSync(script);
      assert.equal(await eventually('script', () => listed.get(script)), digestOfScript);
      t.diagnostic(`execution to list and PCR: ${(performance.now() - start).toFixed(1)} ms`);
    } else {
      const program = join(folder, 'polled');
      copyFileSync('/bin/sleep', program);
      await running(t, program, '60');
      assert.equal(await eventually('program', () => listed.get(program)), sha256Of(program));
    }
    await measurer.stop();
    const replay = new ListReplay({ banks: ['sha256'] });
    replay.run(readFileSync(log.path));
    assert.equal(replay.state().pcrs.sha256?.['10'], tpm.pcr10());
  });
}
