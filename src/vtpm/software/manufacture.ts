/** What the maker of a software TPM does before it is first used: seeds, endorsement keys, their certificates. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { marshalCommand, TPM2_Shutdown, TPM2_Startup, type TPMI_ALG_HASH } from '../../tpm/index.ts';
import { VtpmError } from '../error.ts';
import { certificateAuthority } from './certificate-authority.ts';
import { endorse } from './endorsement.ts';
import { SoftwareTpm } from './software-tpm.ts';
import { StateFolder, type StateFolderOptions } from './state-folder.ts';

export interface SoftwareManufacture extends StateFolderOptions {
  /** Where the TPM's state will lie; made where it is missing. */
  readonly state: string;
  /** The folder of the CA, which is made with its first certificate. Its name says that it vouches for nothing. */
  readonly authority: string;
  /** Banks that are active; all of them by default. */
  readonly banks?: readonly TPMI_ALG_HASH[] | undefined;
}

export interface ManufacturedSoftware {
  readonly state: string;
  /** PEM: the root that a verifier configures to accept these TPMs, for demonstrations. */
  readonly rootCertificate: string;
}

/** What firmware does first. */
export function startUp(tpm: SoftwareTpm): void {
  tpm.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
}

/** A new TPM with endorsement keys and certificates, started. @param authority folder of the CA */
export async function newEndorsedTpm(authority: string, banks?: readonly TPMI_ALG_HASH[]): Promise<SoftwareTpm> {
  const tpm = SoftwareTpm.manufacture(banks === undefined ? {} : { pcrBanks: banks });
  startUp(tpm);
  await endorse(tpm, await certificateAuthority(authority));
  return tpm;
}

/**
 * Makes the TPM of a virtual machine, in a folder for `PoweredTpm`.
 *
 * @throws {VtpmError} `vtpm.manufacture` where there is a state already: it is never replaced; `vtpm.state-io`
 */
export async function manufactureSoftware(options: SoftwareManufacture): Promise<ManufacturedSoftware> {
  const { state, authority, banks } = options;
  const folder = await StateFolder.open(state, { durable: true, ...options });
  await folder.lock(0);
  try {
    if (existsSync(folder.fileOf('permanent'))) {
      throw new VtpmError('vtpm.manufacture', `${state} holds a TPM already`, {
        advice: 'take another folder; a TPM that is manufactured again loses every key',
      });
    }
    const tpm = await newEndorsedTpm(authority, banks);
    tpm.execute(marshalCommand(TPM2_Shutdown, { shutdownType: 'clear' }));
    await folder.store('permanent', tpm.savePermanent());
  } finally {
    await folder.unlock();
  }
  return { state, rootCertificate: join(authority, 'certificate.pem') };
}
