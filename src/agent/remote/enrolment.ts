/** Enrolment from the host's side: proves that the AK lives in the TPM whose EK the server checked. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { toHex } from '../../bytes/index.ts';
import {
  ActivationRequestCodec,
  type Challenge,
  EnrolmentAnswerCodec,
  EnrolmentChallengeCodec,
  type EnrolmentRequest,
  EnrolmentRequestCodec,
  type Measurer,
  type PcrBank,
  type TpmKind,
} from '../../evidence/index.ts';
import { privateFolder, replaceFile } from '../../sys/index.ts';
import { activateCredential, encode, TPMT_PUBLIC, type TpmClient } from '../../tpm/index.ts';
import type { HostIdentity } from '../attest/identity.ts';
import { pcrBanks } from '../attest/tpm-extender.ts';
import { AgentError, errnoOf } from '../error.ts';
import { RefusedError, type ServerConnection } from './connection.ts';

/** What the agent keeps of its enrolment; `token` is a secret. */
export interface KeptEnrolment {
  readonly server: string;
  readonly hostId: string;
  readonly token: string;
  /** TPMT_PUBLIC of the AK that was enrolled, hex. */
  readonly akPublic: string;
}

export interface EnrolOptions {
  readonly tpm: TpmClient;
  readonly tpmKind: TpmKind;
  readonly identity: HostIdentity;
  readonly measurer: Measurer;
  readonly hostName: string;
  /** Asked for only where an enrolment begins; one that was cut short goes on without. */
  readonly joinToken: () => string | Promise<string>;
  /** Where the enrolment is kept. */
  readonly folder: string;
}

export interface Enrolled {
  readonly enrolment: KeptEnrolment;
  readonly challenge: Challenge;
}

const BANKS_BY_STRENGTH: readonly PcrBank[] = ['sha256', 'sha384', 'sha512', 'sm3', 'sha1'];

/**
 * Enrols this host and keeps the enrolment. The activation is kept before it is sent: the server may take it, and with it
 * the join token, and the agent end before it has the answer. The next call then asks for that answer again.
 * @throws {AgentError} `agent.refused`, `agent.server-unreachable`, `agent.no-bank`
 */
export async function enrol(server: ServerConnection, options: EnrolOptions): Promise<Enrolled> {
  await privateFolder(options.folder);
  const begun = await readActivation(server, options);
  return (
    (begun && (await resume(server, options, begun))) ?? (await activate(server, options, await begin(server, options)))
  );
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;

/**
 * As {@link enrol}, and where the server cannot be reached it waits and tries again, as an agent that starts with its
 * machine must: the network or the server may come up later. What the server refuses is an error at once.
 * @param waiting left out: no second try
 * @returns undefined where `waiting.signal` was aborted before
 */
export async function enrolWhenReachable(
  server: ServerConnection,
  options: EnrolOptions,
  waiting?: { readonly signal: AbortSignal; readonly onTrouble: (error: unknown) => void },
): Promise<Enrolled | undefined> {
  if (waiting === undefined) return enrol(server, options);
  for (let pause = FIRST_PAUSE_MS; !waiting.signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await enrol(server, options);
    } catch (error) {
      if (!(error instanceof AgentError && error.code === 'agent.server-unreachable')) throw error;
      waiting.onTrouble(error);
      await delay(pause, undefined, { signal: waiting.signal }).catch(() => {}); // aborted: the loop ends
    }
  }
  return undefined;
}

async function begin(server: ServerConnection, options: EnrolOptions): Promise<Uint8Array> {
  const { tpm, identity, joinToken, folder } = options;
  const request = await describeHost(options);
  const begun = await server.post('/api/agent/enrol', EnrolmentRequestCodec.encode(request), await joinToken());
  const { enrolmentId, credentialBlob, secret } = EnrolmentChallengeCodec.decode(begun);
  const credential = await activateCredential(tpm, identity.ek, identity.ak, { credentialBlob, secret });
  const activation = ActivationRequestCodec.encode({ enrolmentId, credential });
  const kept = { server: server.url, akPublic: akOf(options), activation: toHex(activation) } satisfies KeptActivation;
  await replaceFile(join(folder, ACTIVATION_FILE), `${JSON.stringify(kept)}\n`);
  return activation;
}

async function activate(server: ServerConnection, options: EnrolOptions, activation: Uint8Array): Promise<Enrolled> {
  const { folder } = options;
  const answer = EnrolmentAnswerCodec.decode(await server.post('/api/agent/activate', activation));
  const { hostId, token, challenge } = answer;
  const enrolment = { server: server.url, hostId, token, akPublic: akOf(options) };
  await keepEnrolment(folder, enrolment);
  await rm(join(folder, ACTIVATION_FILE), { force: true });
  return { enrolment, challenge };
}

/** @returns undefined where the server no longer knows that enrolment (it keeps one for minutes): begin anew */
async function resume(
  server: ServerConnection,
  options: EnrolOptions,
  activation: Uint8Array,
): Promise<Enrolled | undefined> {
  try {
    return await activate(server, options, activation);
  } catch (error) {
    if (!(error instanceof RefusedError && error.refusal === 'enrol.unknown')) throw error;
    await rm(join(options.folder, ACTIVATION_FILE), { force: true });
    return undefined;
  }
}

async function describeHost({ tpm, tpmKind, identity, measurer, hostName }: EnrolOptions): Promise<EnrolmentRequest> {
  const availableBanks = await pcrBanks(tpm);
  const bank = BANKS_BY_STRENGTH.find((name) => availableBanks.includes(name));
  if (bank === undefined) throw new AgentError('agent.no-bank', 'the TPM has no PCR bank that Assay knows');
  return {
    version: 1,
    hostName,
    tpmKind,
    measurer,
    ekCertificates: identity.ekCertificates,
    ekPublic: encode(TPMT_PUBLIC, identity.ek.area),
    akPublic: encode(TPMT_PUBLIC, identity.ak.area),
    bank,
    availableBanks,
  };
}

const FILE = 'enrolment.json';

/** An activation that was sent, or was about to be; it holds a secret. */
interface KeptActivation {
  readonly server: string;
  /** TPMT_PUBLIC of the AK that it is for, hex. */
  readonly akPublic: string;
  /** The whole message, hex. */
  readonly activation: string;
}

const ACTIVATION_FILE = 'activation.json';

const akOf = ({ identity }: Pick<EnrolOptions, 'identity'>): string => toHex(encode(TPMT_PUBLIC, identity.ak.area));

/** @returns undefined where none is kept, or one for another server, another AK, or no such thing at all */
async function readActivation(server: ServerConnection, options: EnrolOptions): Promise<Uint8Array | undefined> {
  const text = await readIfThere(join(options.folder, ACTIVATION_FILE));
  const { server: url, akPublic, activation } = fieldsOf(text ?? '');
  const isOurs = url === server.url && akPublic === akOf(options);
  return isOurs && typeof activation === 'string' ? Buffer.from(activation, 'hex') : undefined;
}

/**
 * An enrolment is of one TPM: another one's quotes would only look forged.
 * @throws {AgentError} `agent.other-tpm`
 */
export function checkEnrolledKey(kept: KeptEnrolment, identity: HostIdentity, folder: string): void {
  if (kept.akPublic === akOf({ identity })) return;
  throw new AgentError(
    'agent.other-tpm',
    'this host is enrolled with another TPM, or with this one before it was cleared',
    {
      advice: `use that TPM, name another data folder with --data, or remove ${join(folder, FILE)} to enrol anew`,
    },
  );
}

/** @throws {AgentError} `agent.enrolment-unreadable` */
export async function readEnrolment(folder: string): Promise<KeptEnrolment | undefined> {
  const path = join(folder, FILE);
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  const kept = parseKept(text);
  if (kept === undefined) {
    throw new AgentError('agent.enrolment-unreadable', `${path} is not an enrolment record`, {
      advice: 'remove it to enrol this host anew',
    });
  }
  return kept;
}

function parseKept(text: string): KeptEnrolment | undefined {
  const { server, hostId, token, akPublic } = fieldsOf(text);
  if (typeof server !== 'string' || typeof hostId !== 'string') return undefined;
  if (typeof token !== 'string' || typeof akPublic !== 'string') return undefined;
  return { server, hostId, token, akPublic };
}

/** None for what is no JSON object. */
function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function keepEnrolment(folder: string, enrolment: KeptEnrolment): Promise<void> {
  await replaceFile(join(folder, FILE), `${JSON.stringify(enrolment)}\n`);
}
