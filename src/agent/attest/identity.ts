/**
 * The host's keys: the EK as the TPM gives it, and an AK that the agent made once and keeps, wrapped by the TPM, in its
 * data folder (`ak.public`, `ak.private`: the files that `tpm2_load` takes). Nothing in them is secret to anybody but
 * that TPM.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { privateFolder, replaceFile } from '../../sys/index.ts';
import {
  createAttestationKey,
  decode,
  EK_PROFILES,
  encode,
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

export interface HostIdentity {
  readonly ek: LoadedKey;
  /** DER, the EK's own first; empty where the TPM holds none. */
  readonly ekCertificates: readonly Uint8Array[];
  readonly ak: LoadedKey;
}

/**
 * Loads the host's keys; makes the AK where there is none, or where the kept one is another TPM's.
 * The EK is that of the first certificate in NV, P-256 before RSA: elliptic-curve quotes are several times faster.
 */
export async function loadIdentity(tpm: TpmClient, folder: string): Promise<HostIdentity> {
  await privateFolder(folder); // before anything in it is believed
  const certificates = await readEndorsementCertificates(tpm);
  const profile = certificates[0]?.profile ?? EK_PROFILES.p256;
  const ek = await loadEndorsementKey(tpm, profile);
  const ak = await loadKeptKey(tpm, ek, folder);
  const own = certificates.filter((entry) => entry.profile === profile).map(({ certificate }) => certificate.raw);
  return { ek, ekCertificates: own, ak };
}

async function loadKeptKey(tpm: TpmClient, ek: LoadedKey, folder: string): Promise<LoadedKey> {
  const kept = await readKept(folder);
  if (kept !== undefined) {
    try {
      return await loadAttestationKey(tpm, ek, kept);
    } catch (error) {
      // Wrapped by another TPM, or by this one before it was cleared. The new key is a new identity, which the server
      // notices: no identity changes silently.
      if (!(error instanceof TpmError && error.code === 'tpm.response')) throw error;
    }
  }
  const wrapped = await createAttestationKey(tpm, ek);
  await keep(folder, wrapped);
  return await loadAttestationKey(tpm, ek, wrapped);
}

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
