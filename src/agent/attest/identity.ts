/**
 * The host's keys: the EK as the TPM gives it, and an AK that the agent made once and keeps, wrapped by the TPM, in a
 * folder of this TPM's (`ak.public`, `ak.private`: the files that `tpm2_load` takes). Nothing in them is secret to
 * anybody but that TPM. Each TPM has its own folder, so that one that is tried for a moment takes nothing from another.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../bytes/index.ts';
import { privateFolder, replaceFile } from '../../sys/index.ts';
import {
  createAttestationKey,
  decode,
  EK_PROFILES,
  encode,
  isResponseCode,
  type LoadedKey,
  loadAttestationKey,
  loadEndorsementKey,
  readEndorsementCertificates,
  TPM2B_PRIVATE,
  TPM2B_PUBLIC,
  type TpmClient,
  TpmError,
  type WrappedKey,
} from '../../tpm/index.ts';
import { AgentError } from '../error.ts';

export interface HostIdentity {
  readonly ek: LoadedKey;
  /** DER, the EK's own first; empty where the TPM holds none. */
  readonly ekCertificates: readonly Uint8Array[];
  readonly ak: LoadedKey;
  /** What is kept of this TPM: the AK, and the agent's own list, which only this TPM's PCR 10 explains. */
  readonly folder: string;
}

/**
 * Loads the host's keys; makes the AK where there is none.
 * The EK is that of the first certificate in NV, P-256 before RSA: elliptic-curve quotes are several times faster.
 * @param parent the agent's data folder
 * @throws {AgentError} `agent.key-refused` where the TPM no longer takes the kept AK: no identity changes silently
 */
export async function loadIdentity(tpm: TpmClient, parent: string): Promise<HostIdentity> {
  await privateFolder(parent); // before anything in it is believed
  const certificates = await readEndorsementCertificates(tpm);
  const profile = certificates[0]?.profile ?? EK_PROFILES.p256;
  const ek = await loadEndorsementKey(tpm, profile);
  const folder = join(parent, `tpm-${toHex(ek.name).slice(-NAME_DIGITS)}`);
  await privateFolder(folder);
  const ak = await loadKeptKey(tpm, ek, folder);
  const own = certificates.filter((entry) => entry.profile === profile).map(({ certificate }) => certificate.raw);
  return { ek, ekCertificates: own, ak, folder };
}

async function loadKeptKey(tpm: TpmClient, ek: LoadedKey, folder: string): Promise<LoadedKey> {
  const kept = await readKept(folder);
  if (kept !== undefined) return await loadKept(tpm, ek, kept, folder);
  const wrapped = await createAttestationKey(tpm, ek);
  await keep(folder, wrapped);
  return await loadAttestationKey(tpm, ek, wrapped);
}

async function loadKept(tpm: TpmClient, ek: LoadedKey, kept: WrappedKey, folder: string): Promise<LoadedKey> {
  try {
    return await loadAttestationKey(tpm, ek, kept);
  } catch (error) {
    const isRefused = error instanceof TpmError && error.rc !== undefined && isResponseCode(error.rc, 'INTEGRITY');
    if (!isRefused) throw error;
    throw new AgentError('agent.key-refused', `the TPM no longer takes the attestation key in ${folder}`, {
      advice: 'it was cleared, or the files were changed: remove that folder and enrol the host anew',
    });
  }
}

/** Of the EK's Name: enough to tell the TPMs of one machine apart. */
const NAME_DIGITS = 16;
const PUBLIC_FILE = 'ak.public';
const PRIVATE_FILE = 'ak.private';

async function readKept(folder: string): Promise<WrappedKey | undefined> {
  try {
    const area = decode(TPM2B_PUBLIC, await readFile(join(folder, PUBLIC_FILE)));
    return { area, private: decode(TPM2B_PRIVATE, await readFile(join(folder, PRIVATE_FILE))) };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The public part is written last: with it the pair is whole. */
async function keep(folder: string, key: WrappedKey): Promise<void> {
  await replaceFile(join(folder, PRIVATE_FILE), encode(TPM2B_PRIVATE, key.private));
  await replaceFile(join(folder, PUBLIC_FILE), encode(TPM2B_PUBLIC, key.area));
}
