/** Opens a TPM by its address, whichever kind it is. */
import { existsSync } from 'node:fs';
import { openTransport, parseTpmAddress, type TpmAddress, TpmClient } from '../tpm/index.ts';
import { EmbeddedTpm, inProcessTransport } from './software/index.ts';

export interface OpenedTpm {
  readonly tpm: TpmClient;
  /** What the TPM is by the address that reached it: a claim of this host, which no verifier believes. */
  readonly kind: 'device' | 'swtpm' | 'software';
}

/** The kernel's resource manager: many programs share it, and leave nothing behind in the TPM. */
const DEVICE = '/dev/tpmrm0';

/**
 * The TPM to use: the one that was named, else the machine's own, else the software TPM of the data folder.
 *
 * @param name as `--tpm` or ASSAY_TPM give it
 * @param softwareState where the software TPM's state lies, or will
 * @throws {TpmError} `tpm.argument` where the name is no TPM's
 */
export function chooseTpm(name: string | undefined, softwareState: string): TpmAddress {
  if (name !== undefined && name !== '') return parseTpmAddress(name);
  if (existsSync(DEVICE)) return { kind: 'device', path: DEVICE };
  return { kind: 'software', file: softwareState };
}

/**
 * @throws {TpmError} `tpm.transport` where the TPM cannot be reached
 * @throws {VtpmError} where the software TPM's file is damaged, in use or not to be written
 */
export async function openTpm(address: TpmAddress): Promise<OpenedTpm> {
  if (address.kind === 'software') {
    const embedded = await EmbeddedTpm.open(address.file);
    const transport = inProcessTransport(embedded, `software TPM ${address.file}`, () => embedded.close());
    return { tpm: new TpmClient(transport), kind: 'software' };
  }
  const tpm = new TpmClient(await openTransport(address));
  return { tpm, kind: address.kind === 'device' ? 'device' : 'swtpm' };
}
