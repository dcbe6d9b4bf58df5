/** What every command that speaks to a TPM shares: which TPM, and letting go of it. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { chooseTpm, type OpenedTpm, openTpm } from '../vtpm/index.ts';
import { defaultDataFolder, prepareDataFolder, softwareTpmFile } from './data-folder.ts';
import { escapeControls } from './terminal.ts';

export interface TpmOptions {
  readonly tpm?: string;
  readonly data?: string;
  readonly json?: boolean;
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

/** In --json of whatever a software TPM answered. */
export function demonstrationField({ kind }: OpenedTpm): { readonly demonstration?: true } {
  return kind === 'software' ? { demonstration: true } : {};
}

/** Says on stderr, for people, that a software TPM protects nothing, and whether it was made just now. */
export function tellDemonstration(file: string, isNew: boolean): void {
  const made = `made a software TPM in ${file}, and beside it a CA of its own for its endorsement keys; it`;
  const what = isNew ? made : `the software TPM ${file}`;
  process.stderr.write(`assay: ${escapeControls(what)} demonstrates attestation and does not protect\n`);
}

/**
 * Opens the TPM that the options name, and closes it however `use` ends. A software TPM is told of on stderr, unless the
 * options ask for JSON.
 */
export async function withTpm<T>(options: TpmOptions, use: (opened: OpenedTpm) => Promise<T>): Promise<T> {
  const file = softwareTpmFile(resolve(options.data ?? defaultDataFolder()));
  const address = chooseTpm(options.tpm, file);
  if (address.kind === 'software' && address.file === file) await prepareDataFolder(options.data);
  const isNew = address.kind === 'software' && !existsSync(address.file);
  const opened = await openTpm(address);
  if (address.kind === 'software' && options.json !== true) tellDemonstration(address.file, isNew);
  try {
    return await use(opened);
  } finally {
    await opened.tpm.close();
  }
}
