/** `assay key create storage`: the storage key that other keys are sealed under. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { ensureStorageKey, STORAGE_ROOT_KEY } from '../../keys/index.ts';
import { printJson, printLine } from '../terminal.ts';
import { addTpmOptions, demonstrationField, type TpmOptions, withTpm } from '../with-tpm.ts';
import { handleArgument } from './handle.ts';

const HELP = `
It is made once for each TPM: a P-256 key of the owner's hierarchy that stays in the TPM, as
\`tpm2_createprimary -C o\` and \`tpm2_evictcontrol\` would make it. A key that is there already stays as it is.

Example:
  assay key create storage --tpm software:demo.tpm
  assay key create trusted --tpm software:demo.tpm --keyhandle 0x81000001 -o kmk.blob`;

interface Flags extends TpmOptions {
  readonly keyhandle: number;
  readonly json?: boolean;
}

export function registerCreateStorage(create: Command): void {
  const storage = create
    .command('storage')
    .description('Make the storage key that others are sealed under, where the TPM has none')
    .addOption(
      new Option('--keyhandle <handle>', 'where the TPM keeps it')
        .argParser(ownersHandle)
        .default(STORAGE_ROOT_KEY, '0x81000001'),
    )
    .option('--json', 'print {"keyhandle","made"}');
  addTpmOptions(storage).addHelpText('after', HELP).action(createStorage);
}

/** Persistent handles of the owner; those from 0x81800000 on are the platform's (TPM 2.0 Part 3, 28.5, EvictControl). */
const OWNERS = { first: 0x81000000, last: 0x817fffff };

function ownersHandle(text: string): number {
  const handle = handleArgument(text);
  if (handle >= OWNERS.first && handle <= OWNERS.last) return handle;
  throw new InvalidArgumentError('the owner keeps keys from 0x81000000 to 0x817fffff.');
}

function createStorage(flags: Flags): Promise<void> {
  return withTpm(flags, async (opened) => {
    const keyhandle = `0x${flags.keyhandle.toString(16)}`;
    const made = await ensureStorageKey(opened.tpm, flags.keyhandle);
    if (flags.json === true) printJson({ keyhandle, made, ...demonstrationField(opened) });
    else printLine(made ? `made the storage key ${keyhandle}` : `the TPM has a key at ${keyhandle} already`);
  });
}
