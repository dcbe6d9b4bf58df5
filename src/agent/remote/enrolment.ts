/** Enrolment from the host's side: proves that the AK lives in the TPM whose EK the server checked. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
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
import { activateCredential, encode, TPMT_PUBLIC, type TpmClient } from '../../tpm/index.ts';
import { type HostIdentity, replaceFile } from '../attest/identity.ts';
import { pcrBanks } from '../attest/tpm-extender.ts';
import { AgentError } from '../error.ts';
import type { ServerConnection } from './connection.ts';

/** What the agent keeps of its enrolment; `token` is a secret. */
export interface KeptEnrolment {
  readonly server: string;
  readonly hostId: string;
  readonly token: string;
}

export interface EnrolOptions {
  readonly tpm: TpmClient;
  readonly tpmKind: TpmKind;
  readonly identity: HostIdentity;
  readonly measurer: Measurer;
  readonly hostName: string;
  readonly joinToken: string;
}

const BANKS_BY_STRENGTH: readonly PcrBank[] = ['sha256', 'sha384', 'sha512', 'sm3', 'sha1'];

export async function enrol(
  server: ServerConnection,
  options: EnrolOptions,
): Promise<{ readonly enrolment: KeptEnrolment; readonly challenge: Challenge }> {
  const { tpm, identity, joinToken } = options;
  const request = await describeHost(options);
  const begun = await server.post('/api/agent/enrol', EnrolmentRequestCodec.encode(request), joinToken);
  const { enrolmentId, credentialBlob, secret } = EnrolmentChallengeCodec.decode(begun);
  const credential = await activateCredential(tpm, identity.ek, identity.ak, { credentialBlob, secret });
  const activation = ActivationRequestCodec.encode({ enrolmentId, credential });
  const { hostId, token, challenge } = EnrolmentAnswerCodec.decode(
    await server.post('/api/agent/activate', activation),
  );
  return { enrolment: { server: server.url, hostId, token }, challenge };
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

/** @throws {AgentError} `agent.enrolment-unreadable` */
export async function readEnrolment(folder: string): Promise<KeptEnrolment | undefined> {
  const path = join(folder, FILE);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
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
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const { server, hostId, token } = value as Record<string, unknown>;
    if (typeof server !== 'string' || typeof hostId !== 'string' || typeof token !== 'string') return undefined;
    return { server, hostId, token };
  } catch {
    return undefined;
  }
}

export async function keepEnrolment(folder: string, enrolment: KeptEnrolment): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await replaceFile(join(folder, FILE), `${JSON.stringify(enrolment)}\n`);
}
