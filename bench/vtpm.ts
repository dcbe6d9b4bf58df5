/**
 * One software TPM beside one swtpm: both a process of their own on Unix sockets, started with the same arguments and asked
 * the same commands by the same client, in turns. The wall's time has the client in it, which is equal; the processor's time
 * is that of the TPM's process alone, and stands on a busy machine too.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AkKind,
  attestationKeyTemplate,
  createAttestationKey,
  EK_PROFILES,
  endorsementKeyArea,
  loadAttestationKey,
  loadEndorsementKey,
  marshalCommand,
  openTransport,
  TPM_RH,
  TPM2_CreatePrimary,
  TPM2_FlushContext,
  TPM2_PCR_Extend,
  TPM2_Quote,
  type TPMS_AUTH_COMMAND,
  type TPMT_PUBLIC,
  TpmClient,
  type Transport,
} from '../src/tpm/index.ts';
import { finished } from '../test/fixtures/finished.ts';

const OURS = join(import.meta.dirname, '../bin/assay-swtpm');
/** Each asks both, one after the other; the median stands. */
const TURNS = 5;
const START_MS = 10_000;
/** USER_HZ, in which /proc/PID/stat counts (proc(5)); 100 on every architecture that Debian has. */
const TICK_MS = 10;

interface Running extends AsyncDisposable {
  readonly pid: number;
  readonly transport: Transport;
}

async function connected(path: string, child: ChildProcess): Promise<Transport> {
  for (const deadline = Date.now() + START_MS; ; await sleep(10)) {
    try {
      return await openTransport({ kind: 'swtpm', address: { path } });
    } catch (error) {
      if (child.exitCode !== null || Date.now() > deadline) throw error;
    }
  }
}

async function start(program: string): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'assay-bench-vtpm-'));
  const data = join(folder, 'data');
  const channels = ['--server', `type=unixio,path=${data}`, '--ctrl', `type=unixio,path=${data}.ctrl`];
  const flags = ['--flags', 'not-need-init,startup-clear'];
  const args = ['socket', '--tpm2', '--tpmstate', `dir=${folder}`, ...channels, ...flags];
  const child = spawn(program, args, { stdio: 'ignore' });
  const gone = once(child, 'exit');
  const transport = await connected(data, child);
  return {
    pid: child.pid ?? 0,
    transport,
    async [Symbol.asyncDispose]() {
      await transport.close();
      child.kill('SIGTERM');
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Milliseconds of processor that the process had, all of its threads (proc(5): utime and stime). */
function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** @returns the response @throws where the TPM refuses: a refusal would be quick */
async function ask(transport: Transport, command: Uint8Array): Promise<Buffer> {
  const response = Buffer.from(await transport.execute(command));
  if (response.readUInt32BE(6) !== 0) throw new Error(`${transport.description} refuses: ${response.toString('hex')}`);
  return response;
}

const NONE = new Uint8Array(0);
const PASSWORD: TPMS_AUTH_COMMAND = { sessionHandle: TPM_RH.PW, nonce: NONE, sessionAttributes: {}, hmac: NONE };
const PCRS = [{ hash: 'sha256', pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 10] }] as const;

/** A new AK under its EK, left loaded. */
async function quoteCommand(transport: Transport, kind: AkKind): Promise<Uint8Array> {
  const client = new TpmClient(transport);
  const ek = await loadEndorsementKey(client, EK_PROFILES.p256);
  const wrapped = await createAttestationKey(client, ek, attestationKeyTemplate(kind));
  const { handle: signHandle } = await loadAttestationKey(client, ek, wrapped);
  await ek.release();
  const qualifyingData = Buffer.alloc(32, 7);
  const request = { signHandle, qualifyingData, inScheme: { scheme: 'null' } as const, PCRselect: PCRS };
  const command = marshalCommand(TPM2_Quote, request, [PASSWORD]);
  // The first use of a key with dictionary attack protection is answered TPM_RC_RETRY (Part 4, SessionProcess.c: IsDAExempted)
  await client.transmit(command);
  return command;
}

function extendCommand(): Uint8Array {
  const digests = [{ hashAlg: 'sha256', digest: Buffer.alloc(32, 7) }] as const;
  return marshalCommand(TPM2_PCR_Extend, { pcrHandle: 10, digests }, [PASSWORD]);
}

type PrimaryKind = 'p256' | 'rsa2048';

/** The EK's template with a `unique` of its own, from which another key comes (Part 1, 27.6.4). */
function template(kind: PrimaryKind, number: number): TPMT_PUBLIC {
  const seed = Buffer.alloc(32);
  seed.writeUInt32BE(number);
  return endorsementKeyArea(EK_PROFILES[kind], kind === 'p256' ? { x: seed, y: NONE } : seed);
}

/** Another key each time, and flushed: how long an RSA key's primes take to find is luck, which more keys even out. */
async function createPrimary(transport: Transport, kind: PrimaryKind, number: number): Promise<void> {
  const request = {
    primaryHandle: TPM_RH.ENDORSEMENT,
    inSensitive: { userAuth: NONE, data: NONE },
    inPublic: template(kind, number),
    outsideInfo: NONE,
    creationPCR: [],
  };
  const created = await ask(transport, marshalCommand(TPM2_CreatePrimary, request, [PASSWORD]));
  const flushHandle = created.readUInt32BE(10);
  await ask(transport, marshalCommand(TPM2_FlushContext, { flushHandle }));
}

type Work = (round: number) => Promise<unknown>;

interface Operation {
  readonly name: string;
  /** In one turn. */
  readonly rounds: number;
  readonly prepare: (transport: Transport) => Promise<Work>;
}

const repeated =
  (command: (transport: Transport) => Uint8Array | Promise<Uint8Array>) =>
  async (transport: Transport): Promise<Work> => {
    const bytes = await command(transport);
    return () => ask(transport, bytes);
  };

const OPERATIONS: readonly Operation[] = [
  { name: 'TPM2_Quote, P-256', rounds: 1000, prepare: repeated((transport) => quoteCommand(transport, 'p256')) },
  { name: 'TPM2_Quote, RSA-2048', rounds: 300, prepare: repeated((transport) => quoteCommand(transport, 'rsa2048')) },
  { name: 'TPM2_PCR_Extend', rounds: 2000, prepare: repeated(extendCommand) },
  {
    name: 'TPM2_CreatePrimary, P-256',
    rounds: 200,
    prepare: async (transport) => (round) => createPrimary(transport, 'p256', round),
  },
  {
    name: 'TPM2_CreatePrimary, RSA-2048',
    rounds: 20,
    prepare: async (transport) => (round) => createPrimary(transport, 'rsa2048', round),
  },
];

/** Milliseconds for one of them. */
interface Cost {
  readonly wall: number;
  readonly processor: number;
}

async function turn({ pid }: Running, work: Work, rounds: number, first: number): Promise<Cost> {
  const processor = processorMs(pid);
  const began = performance.now();
  for (let round = 0; round < rounds; round++) await work(first + round);
  const wall = performance.now() - began;
  return { wall: wall / rounds, processor: (processorMs(pid) - processor) / rounds };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** Each TPM's median; the first turn of each warms up and is not counted. */
async function costs(tpms: readonly Running[], { rounds, prepare }: Operation): Promise<Cost[]> {
  const works: Work[] = [];
  for (const { transport } of tpms) works.push(await prepare(transport));
  const turns = tpms.map((): Cost[] => []);
  for (let count = 0; count <= TURNS; count++) {
    for (const [index, tpm] of tpms.entries()) {
      const work = works[index];
      if (work !== undefined) turns[index]?.push(await turn(tpm, work, rounds, count * rounds));
    }
  }
  return turns.map(([, ...counted]) => ({
    wall: median(counted.map(({ wall }) => wall)),
    processor: median(counted.map(({ processor }) => processor)),
  }));
}

const rate = (ms: number): string => `${Math.round(1000 / ms).toLocaleString('en')}/s`;

function tell(name: string, [ours, peer]: readonly Cost[]): void {
  if (ours === undefined) return;
  const own = `${rate(ours.wall)} (${ours.processor.toFixed(3)} ms of processor)`;
  const beside =
    peer === undefined
      ? ''
      : `, swtpm ${rate(peer.wall)} (${peer.processor.toFixed(3)} ms): ${(peer.wall / ours.wall).toFixed(2)} times as ` +
        `quick, ${(peer.processor / ours.processor).toFixed(2)} by processor`;
  console.log(`${name}: ${own}${beside}`);
}

export async function run(): Promise<void> {
  const hasPeer = (await finished('sh', ['-c', 'command -v swtpm'])).status === 0;
  if (!hasPeer) console.log('swtpm is not installed (Debian package swtpm)');
  await using tpms = new AsyncDisposableStack();
  const running: Running[] = [];
  for (const program of hasPeer ? [OURS, 'swtpm'] : [OURS]) running.push(tpms.use(await start(program)));
  for (const operation of OPERATIONS) tell(operation.name, await costs(running, operation));
}

if (import.meta.main) await run();
