/** A file in use whose content never comes, as of a dead network mount: measuring goes on without it, and stopping works. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { HostMeasurer, MeasurementLog, type PcrExtender } from '../../src/agent/index.ts';
import { digest } from '../../src/bytes/index.ts';
import { ASSAY, Spawned } from './up/assay.ts';

const STOPS_WITHIN_MS = 5000;
const MAPPER =
  "import mmap,sys,time\nf=open(sys.argv[1],'rb')\n" +
  'm=mmap.mmap(f.fileno(),4096,flags=mmap.MAP_PRIVATE,prot=mmap.PROT_READ|mmap.PROT_EXEC)\ntime.sleep(600)';

function whyNot(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/dev/fuse')) return 'needs /dev/fuse';
  return spawnSync('python3', ['-c', 'import mmap']).status === 0 ? false : 'needs python3';
}
const withFuse = { skip: whyNot(), timeout: 60_000 };

function memoryPcrs(): PcrExtender {
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
  };
}

async function until(what: string, isIt: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000; !isIt(); await delay(10)) {
    if (Date.now() > end) throw new Error(`${what}: not seen within 20 s`);
  }
}

interface Silent {
  readonly folder: string;
  /** The file, mapped to be executed by a process that runs. */
  readonly file: string;
}

async function silentFile(t: TestContext): Promise<Silent> {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'assay-silent-'));
  const place = join(folder, 'mount');
  mkdirSync(place);
  const children: ChildProcess[] = [];
  t.after(() => {
    for (const child of children) child.kill('SIGKILL'); // with the server its readers are set free
    spawnSync('umount', ['-l', place]);
    rmSync(folder, { recursive: true, force: true });
  });
  const server = spawn(process.execPath, [join(import.meta.dirname, 'silent-fuse.ts'), place], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(server);
  await once(server.stdout, 'data');
  const file = join(place, 'silent');
  const mapper = spawn('python3', ['-c', MAPPER, file], { stdio: 'inherit' });
  children.push(mapper);
  await until('mapping', () => readFileSync(`/proc/${mapper.pid}/maps`, 'latin1').includes(file));
  return { folder, file };
}

for (const fanotify of [true, false]) {
  const means = fanotify ? 'fanotify' : 'polling';
  test(
    `a file that gives nothing is listed so, and what starts later is measured, by ${means}`,
    withFuse,
    async (t) => {
      const { folder, file } = await silentFile(t);
      const log = await MeasurementLog.open(join(folder, 'ima'), memoryPcrs());
      const listed = new Map<string, string | undefined>();
      const failures: unknown[] = [];
      const measurer = new HostMeasurer({
        log,
        fanotify,
        pollEvery: 100,
        patience: 500,
        onListed: (files) => {
          for (const { path, unmeasured } of files) listed.set(Buffer.from(path).toString(), unmeasured);
        },
        onFailure: (error) => failures.push(error),
      });
      t.after(() => measurer.stop().then(() => log.close()));
      await measurer.ready;
      assert.equal(listed.get(file), 'unreadable');
      assert.equal(listed.get('gap:measuring-held-up'), 'gap');
      const program = join(folder, 'program');
      copyFileSync('/bin/sleep', program);
      const child = spawn(program, ['60'], { stdio: 'ignore' });
      t.after(() => void child.kill('SIGKILL'));
      await until('program', () => listed.has(program));
      assert.equal(listed.get(program), undefined);
      assert.ok(measurer.state.reasons.some((reason) => reason.includes('cannot be read')));
      await measurer.stop();
      assert.deepEqual(failures, []);
    },
  );
}

test('measuring that is held up stops all the same', withFuse, async (t) => {
  const { folder } = await silentFile(t);
  const log = await MeasurementLog.open(join(folder, 'ima'), memoryPcrs());
  const measurer = new HostMeasurer({ log, patience: 3_600_000 });
  await until('watching', () => measurer.state.by !== 'starting');
  await delay(1000); // the walk has come to the file
  const began = performance.now();
  await measurer.stop();
  const took = performance.now() - began;
  assert.ok(took < STOPS_WITHIN_MS, `${took} ms`);
  await log.close();
});

test('assay up says its verdict beside a file that gives nothing, and ends at SIGTERM', withFuse, async (t) => {
  const { folder, file } = await silentFile(t);
  const up = new Spawned([ASSAY, 'up', '--port', '0', '--data', join(folder, 'data')], {
    ASSAY_TPM: `software:${join(folder, 'tpm')}`,
  });
  t.after(() => up.kill());
  await up.says(/^dashboard /m);
  const began = performance.now();
  const { stderr } = await up.kill('SIGTERM');
  const took = performance.now() - began;
  t.diagnostic(`stopped after ${Math.round(took)} ms`);
  assert.equal(up.child.signalCode, null);
  assert.equal(stderr, '');
  assert.ok(took < STOPS_WITHIN_MS, `${took} ms`);
  assert.match(up.output, new RegExp(`✗ file\\.unreadable +${file} `), up.output);
  assert.match(up.output, /✗ ima\.gap .*\(measuring-held-up\)/, up.output);
});
