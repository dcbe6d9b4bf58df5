/** The endorsement key in a TPM, its certificate in NV, and what it authorizes. */
import type { X509Certificate } from 'node:crypto';
import { bytesEqual } from '../../bytes/index.ts';
import { type HandleAuthorization, Session, type TpmClient } from '../client/index.ts';
import { encode } from '../codec.ts';
import {
  TPM2_ActivateCredential,
  TPM2_CreatePrimary,
  TPM2_FlushContext,
  TPM2_PolicySecret,
  TPM2_ReadPublic,
} from '../commands.ts';
import type { Credential } from '../credential.ts';
import { TpmError } from '../errors.ts';
import { readNvIndex } from '../nv-storage.ts';
import { isResponseCode } from '../response-codes.ts';
import { TPM_RH, type TPMI_ALG_HASH, TPMT_PUBLIC } from '../structures.ts';
import { parseCertificate } from './certificate.ts';
import { EK_PROFILES, type EkProfile } from './templates.ts';

export interface LoadedKey {
  readonly handle: number;
  readonly area: TPMT_PUBLIC;
  readonly name: Uint8Array;
  /** Takes the key out of the TPM's memory again; nothing for a persistent key. */
  release(): Promise<void>;
}

/** The EK of this profile: the persistent one where provisioning left it, else created anew from its template. */
export async function loadEndorsementKey(tpm: TpmClient, profile: EkProfile): Promise<LoadedKey> {
  const persistent = await readPersistent(tpm, profile.persistentHandle);
  if (persistent !== undefined && isFromTemplate(persistent.area, profile.template)) return persistent;
  const { objectHandle, outPublic, name } = await tpm.execute(TPM2_CreatePrimary, {
    primaryHandle: TPM_RH.ENDORSEMENT,
    inSensitive: { userAuth: new Uint8Array(0), data: new Uint8Array(0) },
    inPublic: profile.template,
    outsideInfo: new Uint8Array(0),
    creationPCR: [],
  });
  const release = async (): Promise<void> => void (await tpm.execute(TPM2_FlushContext, { flushHandle: objectHandle }));
  return { handle: objectHandle, area: outPublic, name, release };
}

/** Somebody may have put another key at the handle: one that is not the profile's template but for its key is not its EK. */
function isFromTemplate(area: TPMT_PUBLIC, template: TPMT_PUBLIC): boolean {
  if (area.type === 'rsa' && template.type === 'rsa') return isSameArea({ ...area, unique: template.unique }, template);
  if (area.type === 'ecc' && template.type === 'ecc') return isSameArea({ ...area, unique: template.unique }, template);
  return false;
}

const isSameArea = (a: TPMT_PUBLIC, b: TPMT_PUBLIC): boolean =>
  bytesEqual(encode(TPMT_PUBLIC, a), encode(TPMT_PUBLIC, b));

async function readPersistent(tpm: TpmClient, handle: number): Promise<LoadedKey | undefined> {
  try {
    const { outPublic, name } = await tpm.execute(TPM2_ReadPublic, { objectHandle: handle });
    return { handle, area: outPublic, name, release: async () => {} };
  } catch (error) {
    if (error instanceof TpmError && error.rc !== undefined && isResponseCode(error.rc, 'HANDLE')) return undefined;
    throw error;
  }
}

export interface EndorsementCertificate {
  readonly profile: EkProfile;
  readonly certificate: X509Certificate;
}

/** The certificates that this TPM's NV holds for the profiles that Assay knows, best first: P-256, RSA 2048, P-384. */
export async function readEndorsementCertificates(tpm: TpmClient): Promise<EndorsementCertificate[]> {
  const found: EndorsementCertificate[] = [];
  for (const profile of [EK_PROFILES.p256, EK_PROFILES.rsa2048, EK_PROFILES.p384]) {
    const der = await readNvIndex(tpm, profile.certificateIndex);
    if (der !== undefined) found.push({ profile, certificate: parseCertificate(der) });
  }
  return found;
}

/** A policy session that satisfies the EK's PolicyA with the endorsement hierarchy's (empty) authorization. */
export async function startEndorsementSession(tpm: TpmClient, authHash: TPMI_ALG_HASH): Promise<Session> {
  const session = await Session.start(tpm, { type: 'policy', authHash });
  try {
    await tpm.execute(TPM2_PolicySecret, {
      authHandle: TPM_RH.ENDORSEMENT,
      policySession: session.handle,
      nonceTPM: new Uint8Array(0),
      cpHashA: new Uint8Array(0),
      policyRef: new Uint8Array(0),
      expiration: 0,
    });
    return session;
  } catch (error) {
    await session.flush(tpm);
    throw error;
  }
}

/**
 * Recovers a credential: proof that this TPM holds both the EK it was made for and the object it names.
 * @throws {TpmError} `tpm.response` where it was made for another TPM or another key
 */
export async function activateCredential(
  tpm: TpmClient,
  ek: LoadedKey,
  activate: LoadedKey,
  credential: Credential,
): Promise<Uint8Array> {
  const request = { activateHandle: activate.handle, keyHandle: ek.handle, ...credential };
  const { certInfo } = await withEndorsementKey(tpm, ek, (keyHandle) =>
    tpm.execute(TPM2_ActivateCredential, request, { auth: { keyHandle } }),
  );
  return certInfo;
}

/**
 * Authorizes one command with the EK: keys of the high range take their (empty) authorization value beside their
 * policy, those of the low range only PolicyA. The policy's session ends with the command, and also where it fails: a
 * TPM has place for three.
 */
export async function withEndorsementKey<T>(
  tpm: TpmClient,
  ek: LoadedKey,
  use: (authorization: HandleAuthorization) => Promise<T>,
): Promise<T> {
  if (ek.area.objectAttributes.userWithAuth === true) return use({ password: new Uint8Array(0) });
  const { nameAlg } = ek.area;
  if (nameAlg === 'null') throw new TpmError('tpm.argument', 'the endorsement key has no name algorithm');
  const session = await startEndorsementSession(tpm, nameAlg);
  session.attributes = {}; // without continueSession it ends with the command
  try {
    return await use({ session });
  } catch (error) {
    await session.flush(tpm).catch(() => undefined); // the command's own error says more
    throw error;
  }
}
