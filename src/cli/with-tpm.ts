/** What every command that speaks to a TPM shares: which TPM, and letting go of it. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { chooseTpm, type OpenedTpm, openTpm } from '../vtpm/index.ts';
import { defaultDataFolder, prepareDataFolder, softwareTpmFile } from './data-folder.ts';

export interface TpmOptions {
  readonly tpm?: string;
  readonly data?: string;
}

export const TPM_FORMS =
  'device:/dev/tpmrm0, swtpm:path=SOCKET, swtpm:host=H,port=P, mssim:host=H,port=P or software:FILE';

/** Adds `--tpm` and `--data`. */
export function addTpmOptions(command: Command): Command {
  const tpm = new Option('--tpm <name>', `the TPM: ${TPM_FORMS} (default: the machine's own, else the software TPM)`);
  return command
    .addOption(tpm.env('ASSAY_TPM'))
    .option('--data <folder>', "the data folder, in which the software TPM's state lies");
}

/** Opens the TPM that the options name, and closes it however `use` ends. */
export async function withTpm<T>(options: TpmOptions, use: (opened: OpenedTpm) => Promise<T>): Promise<T> {
  const file = softwareTpmFile(resolve(options.data ?? defaultDataFolder()));
  const address = chooseTpm(options.tpm, file);
  if (address.kind === 'software' && address.file === file) await prepareDataFolder(options.data);
  const opened = await openTpm(address);
  try {
    return await use(opened);
  } finally {
    await opened.tpm.close();
  }
}
