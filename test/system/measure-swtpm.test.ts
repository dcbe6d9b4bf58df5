/** The agent's list against PCR 10 of a real swtpm: restarts of the TPM, and an agent that is killed at any moment. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MeasurementLog, pcrBanks, tpmExtender } from '../../src/agent/index.ts';
import { digest, toHex } from '../../src/bytes/index.ts';
import { ListReplay } from '../../src/ima/index.ts';
import { openTransport, readPcrs, TpmClient } from '../../src/tpm/index.ts';
import { requires } from './requirements.ts';

interface Swtpm {
  readonly socket: string;
  /** Ends it and starts it again: a new boot of the TPM. */
  restart(): Promise<void>;
}

async function startSwtpm(t: TestContext, folder: string): Promise<Swtpm> {
  const socket = join(folder, 'tpm');
  let child: ChildProcess | undefined;
  const stop = async () => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill();
    await once(child, 'exit');
  };
  const restart = async () => {
    await stop();
    rmSync(socket, { force: true });
    const server = ['--server', `type=unixio,path=${socket}`, '--ctrl', `type=unixio,path=${socket}.ctrl`];
    const flags = ['--flags', 'not-need-init,startup-clear'];
    child = spawn('swtpm', ['socket', '--tpm2', '--tpmstate', `dir=${folder}`, ...server, ...flags], {
      stdio: 'ignore',
    });
    for (let i = 0; i < 500 && !existsSync(socket); i++) await delay(10);
  };
  t.after(stop);
  await restart();
  return { socket, restart };
}

async function withClient<T>(socket: string, use: (tpm: TpmClient) => Promise<T>): Promise<T> {
  const tpm = new TpmClient(await openTransport({ kind: 'swtpm', address: { path: socket } }));
  try {
    return await use(tpm);
  } finally {
    await tpm.close();
  }
}

const file = (name: string) => ({ path: Buffer.from(name), sha256: digest('sha256', Buffer.from(name)) });

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'assay-swtpm-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function assertAgrees(tpm: TpmClient, list: Buffer): Promise<void> {
  const banks = await pcrBanks(tpm);
  assert.ok(banks.length > 1);
  const replay = new ListReplay({ banks });
  assert.equal(replay.run(list).consumed, list.length);
  for (const bank of banks) {
    const [pcr] = await readPcrs(tpm, bank, [10]);
    assert.equal(replay.state().pcrs[bank]?.['10'], toHex(pcr?.value ?? new Uint8Array()), bank);
  }
}

test(
  "the list replays to swtpm's PCR 10 in every bank, and begins anew when the TPM does",
  requires('swtpm'),
  async (t) => {
    const folder = temporaryFolder(t);
    const swtpm = await startSwtpm(t, folder);
    const lists = join(folder, 'ima');
    const measure = (names: readonly string[]) =>
      withClient(swtpm.socket, async (tpm) => {
        const log = await MeasurementLog.open(lists, tpmExtender(tpm, 'swtpm'));
        await log.add(names.map(file));
        await assertAgrees(tpm, readFileSync(log.path));
        await log.close();
        return log.entries;
      });
    assert.equal(await measure(['/usr/bin/a', '/usr/bin/b']), 3);
    assert.equal(await measure(['/usr/bin/b', '/usr/bin/c']), 4);
    await swtpm.restart();
    assert.equal(await measure(['/usr/bin/b']), 2);
  },
);

test(
  'an agent that is killed at any moment leaves nothing that the next one cannot complete',
  requires('swtpm'),
  async (t) => {
    const folder = temporaryFolder(t);
    const swtpm = await startSwtpm(t, folder);
    const lists = join(folder, 'ima');
    const program = new URL('./measure-forever.ts', import.meta.url).pathname;
    let entries = 0;
    let completed = 0;
    for (let round = 0; round < 12; round++) {
      const agent = spawn(process.execPath, [program, swtpm.socket, lists, String(round)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = once(agent, 'exit');
      await once(agent.stdout, 'data'); // it has begun to list
      await delay(round * 3);
      agent.kill('SIGKILL');
      await ended;
      await withClient(swtpm.socket, async (tpm) => {
        const extender = tpmExtender(tpm, 'swtpm');
        const log = await MeasurementLog.open(lists, {
          ...extender,
          async extend(pcr, digests) {
            completed++;
            await extender.extend(pcr, digests);
          },
        });
        await assertAgrees(tpm, readFileSync(log.path));
        assert.ok(log.entries > entries, 'what an earlier round listed is there');
        entries = log.entries;
        await log.close();
      });
    }
    t.diagnostic(`${entries} entries, ${completed} completed after a kill`);
  },
);
