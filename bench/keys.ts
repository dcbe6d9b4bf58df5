/**
 * Keys of both kinds: unsealing under a PCR policy through one open swtpm, beside the same steps by tpm2-tools; and what
 * each operation takes of the TPM and of the processor.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decryptKey,
  type EncryptedKey,
  encodeEncryptedKey,
  encryptKey,
  newPayload,
  parseEncryptedKey,
  reencryptKey,
  sealTrustedKey,
  type TrustedBlob,
  unsealTrustedKey,
} from '../src/keys/index.ts';
import {
  currentValues,
  encode,
  type Policy,
  TPM2B_PRIVATE,
  TPM2B_PUBLIC,
  TpmClient,
  type Transport,
} from '../src/tpm/index.ts';
import { finished } from '../test/fixtures/finished.ts';
import { type RunningSwtpm, runSwtpm } from '../test/fixtures/running-swtpm.ts';
import { keepStorageKey } from '../test/fixtures/storage-key.ts';

const PARENT = 0x81000001;
const PCRS = 'sha256:0,4,7,9';
const SELECTION = [{ hash: 'sha256', pcrs: [0, 4, 7, 9] }] as const;
const WARM_UP = 20;
const ROUNDS = 300;
const PEER_ROUNDS = 20;
const PAYLOAD = 32;
const AIM = 20;
const MASTER = { name: 'trusted:kmk', payload: Buffer.alloc(32, 7) } as const;
const OTHER_MASTER = { name: 'user:other', payload: Buffer.alloc(32, 8) } as const;

/** The same steps as ours, tool by tool; what they leave in the TPM is flushed as ours is. */
const PIPELINE = [
  `tpm2_load -Q -C 0x${PARENT.toString(16)} -u key.pub -r key.priv -c key.ctx`,
  'tpm2_startauthsession -Q -g sha256 --policy-session -S session',
  `tpm2_policypcr -Q -S session -l ${PCRS}`,
  'tpm2_unseal -Q -c key.ctx -p session:session -o payload',
  'tpm2_flushcontext session',
  'tpm2_flushcontext -t',
];

/** Counts what the TPM is asked and how long it takes to answer. */
class Meter implements Transport {
  readonly description = 'swtpm, metered';
  readonly #transport: Transport;
  commands = 0;
  ms = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async execute(command: Uint8Array): Promise<Uint8Array> {
    const start = performance.now();
    const answer = await this.#transport.execute(command);
    this.ms += performance.now() - start;
    this.commands += 1;
    return answer;
  }

  close(): Promise<void> {
    return this.#transport.close();
  }
}

interface Cost {
  readonly ms: number;
  readonly tpmMs: number;
  readonly commands: number;
  readonly cpuMs: number;
}

/** Means over {@link ROUNDS}: processor time is counted too coarsely for one of them. */
async function costOf(meter: Meter, work: () => unknown): Promise<Cost> {
  for (let round = 0; round < WARM_UP; round++) await work();
  const { ms, commands } = meter;
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (let round = 0; round < ROUNDS; round++) await work();
  const taken = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  return {
    ms: taken / ROUNDS,
    tpmMs: (meter.ms - ms) / ROUNDS,
    commands: (meter.commands - commands) / ROUNDS,
    cpuMs: (user + system) / 1000 / ROUNDS,
  };
}

export async function run(): Promise<void> {
  if ((await finished('sh', ['-c', 'command -v swtpm'])).status !== 0) {
    console.log('swtpm is not installed (Debian package swtpm)');
    return;
  }
  await using running = await runSwtpm();
  const meter = new Meter(await running.transport());
  const tpm = new TpmClient(meter);
  await keepStorageKey(tpm, PARENT);
  const policy: Policy = [{ kind: 'pcr', values: await currentValues(tpm, SELECTION) }];
  const payload = randomBytes(PAYLOAD);
  const blob = await sealTrustedKey(tpm, { payload, parent: PARENT, policy });
  const costs = await table(tpm, meter, blob, policy);
  await tpm.close(); // swtpm serves one connection at a time
  const unsealing = costs.get(UNSEAL)?.ms ?? Number.NaN;
  const peer = await pipelineMs(running, blob, payload);
  const beside =
    peer === undefined
      ? 'tpm2-tools are not installed (Debian package tpm2-tools)'
      : `tpm2-tools ${peer.toFixed(1)} ms: ${(peer / unsealing).toFixed(0)} times (aim ${AIM})`;
  console.log(`unseal under a policy of PCRs ${PCRS}, one open swtpm: ${unsealing.toFixed(2)} ms; ${beside}`);
  print(costs);
}

const UNSEAL = 'trusted: unseal under a PCR policy';

async function table(tpm: TpmClient, meter: Meter, blob: TrustedBlob, policy: Policy): Promise<Map<string, Cost>> {
  const seal = (payload: Uint8Array) => sealTrustedKey(tpm, { payload, parent: PARENT, policy });
  const plain = await sealTrustedKey(tpm, { payload: randomBytes(PAYLOAD), parent: PARENT });
  const data = randomBytes(64);
  const line = encodeEncryptedKey(encryptKey(data, MASTER));
  const loaded = (): EncryptedKey => parseEncryptedKey(line);
  const operations: readonly (readonly [string, () => unknown])[] = [
    ['trusted: create, sealed to PCRs', async () => seal(await newPayload(tpm, PAYLOAD))],
    ['trusted: load and unseal, no policy', () => unsealTrustedKey(tpm, plain)],
    [UNSEAL, () => unsealTrustedKey(tpm, blob, { policy })],
    ['trusted: seal anew', async () => seal((await unsealTrustedKey(tpm, blob, { policy })).payload)],
    ['encrypted: create', () => encodeEncryptedKey(encryptKey(randomBytes(64), MASTER))],
    ['encrypted: load and decrypt', () => decryptKey(loaded(), MASTER.payload)],
    ['encrypted: to another master', () => reencryptKey(loaded(), MASTER.payload, OTHER_MASTER)],
  ];
  const costs = new Map<string, Cost>();
  for (const [name, work] of operations) costs.set(name, await costOf(meter, work));
  return costs;
}

function print(costs: ReadonlyMap<string, Cost>): void {
  const rows = [...costs].map(([name, { ms, tpmMs, commands, cpuMs }]) => [
    name,
    ms.toFixed(3),
    tpmMs === 0 ? '-' : tpmMs.toFixed(3),
    commands === 0 ? '-' : commands.toFixed(0),
    cpuMs.toFixed(3),
  ]);
  console.log('what an operation costs, in the mean (a TPM of hardware takes some hundred times as long as swtpm):');
  for (const [name = '', ...figures] of [['', 'ms', 'TPM ms', 'commands', 'our CPU ms'], ...rows]) {
    console.log(`  ${name.padEnd(36)}${figures.map((figure) => figure.padStart(11)).join('')}`);
  }
}

/** Median of one shell that runs the tools one after the other; checks that they got the payload. */
async function pipelineMs(running: RunningSwtpm, blob: TrustedBlob, payload: Buffer): Promise<number | undefined> {
  if ((await finished('sh', ['-c', 'command -v tpm2_unseal'])).status !== 0) return undefined;
  writeFileSync(join(running.folder, 'key.pub'), encode(TPM2B_PUBLIC, blob.area));
  writeFileSync(join(running.folder, 'key.priv'), encode(TPM2B_PRIVATE, blob.private));
  const env = { ...process.env, TPM2TOOLS_TCTI: running.name };
  const times: number[] = [];
  for (let round = 0; round < PEER_ROUNDS; round++) {
    const start = performance.now();
    const { status, stderr } = await finished('sh', ['-ec', PIPELINE.join('\n')], { cwd: running.folder, env });
    times.push(performance.now() - start);
    if (status !== 0) throw new Error(`tpm2-tools: ${stderr.toString()}`);
    if (!readFileSync(join(running.folder, 'payload')).equals(payload))
      throw new Error('tpm2-tools unsealed another key');
    await finished('rm', ['-f', 'payload', 'key.ctx', 'session'], { cwd: running.folder });
  }
  return times.sort((a, b) => a - b)[times.length >> 1];
}

if (import.meta.main) await run();
