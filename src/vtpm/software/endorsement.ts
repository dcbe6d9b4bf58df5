/** What a TPM's maker puts in: endorsement keys, and their certificates in NV memory (TCG EK Credential Profile, 2.2). */
import {
  type Command,
  EK_PROFILES,
  type EkProfile,
  type EkProfileName,
  marshalCommand,
  publicKeyOf,
  TPM_RH,
  TPM2_CreatePrimary,
  TPM2_EvictControl,
  TPM2_FlushContext,
  TPM2_NV_DefineSpace,
  TPM2_NV_Write,
  TPM2_NV_WriteLock,
  type TPMA_NV,
  type TPMS_AUTH_COMMAND,
  unmarshalResponse,
} from '../../tpm/index.ts';
import { type CertificateAuthority, certifyEndorsementKey } from './certificate-authority.ts';
import { NV_BUFFER_MAX } from './limits.ts';
import type { SoftwareTpm } from './software-tpm.ts';

const NONE = new Uint8Array(0);
const EMPTY_PASSWORD: TPMS_AUTH_COMMAND = {
  sessionHandle: TPM_RH.PW,
  nonce: NONE,
  sessionAttributes: { continueSession: true },
  hmac: NONE,
};

/** As swtpm_setup defines them: anyone may read, nobody writes again. */
const CERTIFICATE_ATTRIBUTES: TPMA_NV = {
  ppwrite: true,
  ppread: true,
  ownerread: true,
  authread: true,
  no_da: true,
  writedefine: true,
  platformcreate: true,
};

/** Sends a command with empty passwords for every handle that needs one. @throws {TpmError} `tpm.response` */
function perform<H extends object, P extends object, RH extends object, RP extends object>(
  tpm: SoftwareTpm,
  command: Command<H, P, RH, RP>,
  request: H & P,
): RH & RP {
  const passwords = command.handles.filter(({ auth }) => auth !== undefined).map(() => EMPTY_PASSWORD);
  return unmarshalResponse(command, tpm.execute(marshalCommand(command, request, passwords))).response;
}

function storeCertificate(tpm: SoftwareTpm, nvIndex: number, certificate: Uint8Array): void {
  const authHandle = TPM_RH.PLATFORM;
  const publicInfo = {
    nvIndex,
    nameAlg: 'sha256',
    attributes: CERTIFICATE_ATTRIBUTES,
    authPolicy: NONE,
    dataSize: certificate.length,
  } as const;
  perform(tpm, TPM2_NV_DefineSpace, { authHandle, auth: NONE, publicInfo });
  for (let offset = 0; offset < certificate.length; offset += NV_BUFFER_MAX) {
    const data = certificate.subarray(offset, offset + NV_BUFFER_MAX);
    perform(tpm, TPM2_NV_Write, { authHandle, nvIndex, data, offset });
  }
  perform(tpm, TPM2_NV_WriteLock, { authHandle, nvIndex });
}

async function endorseKey(tpm: SoftwareTpm, authority: CertificateAuthority, profile: EkProfile): Promise<void> {
  const { objectHandle, outPublic } = perform(tpm, TPM2_CreatePrimary, {
    primaryHandle: TPM_RH.ENDORSEMENT,
    inSensitive: { userAuth: NONE, data: NONE },
    inPublic: profile.template,
    outsideInfo: NONE,
    creationPCR: [],
  });
  const { persistentHandle } = profile;
  perform(tpm, TPM2_EvictControl, { auth: TPM_RH.OWNER, objectHandle, persistentHandle });
  perform(tpm, TPM2_FlushContext, { flushHandle: objectHandle });
  const certificate = await certifyEndorsementKey(authority, publicKeyOf(outPublic));
  storeCertificate(tpm, profile.certificateIndex, certificate);
}

/**
 * Makes endorsement keys persistent and stores their certificates, by commands alone. The TPM must be started, and its
 * authorization values still be empty.
 *
 * @throws {TpmError} `tpm.response` where a command is refused, as when it was endorsed before
 */
export async function endorse(
  tpm: SoftwareTpm,
  authority: CertificateAuthority,
  keys: readonly EkProfileName[] = ['rsa2048', 'p256'],
): Promise<void> {
  for (const name of keys) await endorseKey(tpm, authority, EK_PROFILES[name]);
}
