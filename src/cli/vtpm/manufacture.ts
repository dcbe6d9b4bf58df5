/** `assay vtpm manufacture`: the software TPM of a virtual machine, made with endorsement keys before it first starts. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { manufactureSoftware, SWTPM_BANKS, type SwtpmBank } from '../../vtpm/index.ts';
import { printJson, printLine } from '../terminal.ts';
import { KEY_FORMS, type KeySource, keyOption, readStateKey } from './key-option.ts';
import { planState } from './socket-options.ts';

interface Options {
  readonly tpmstate: string;
  readonly authority: string;
  readonly pcrBanks?: readonly SwtpmBank[];
  readonly key?: KeySource;
  readonly json?: boolean;
}

const HELP = `
What swtpm_setup does for swtpm. Without it the TPM is made when it first starts, with seeds and no certificates. The CA
is made in its folder with the first certificate; its name says that it demonstrates and does not vouch.

Example:
  assay vtpm manufacture --tpmstate dir=/var/lib/vm/tpm --authority /var/lib/vm/tpm-ca --pcr-banks sha256,sha384
  assay vtpm socket --tpm2 --tpmstate dir=/var/lib/vm/tpm --ctrl type=unixio,path=/run/vm/tpm.sock --terminate`;

export function registerManufacture(vtpm: Command): void {
  vtpm
    .command('manufacture')
    .description('Make the software TPM of a virtual machine: seeds, endorsement keys, their certificates')
    .requiredOption('--tpmstate <options>', 'dir=FOLDER[,mode=0640]: where its state will be')
    .requiredOption('--authority <folder>', 'the folder of the CA of its endorsement keys, made where it is missing')
    .addOption(new Option('--pcr-banks <banks>', `which are active, of ${SWTPM_BANKS.join(',')}`).argParser(parseBanks))
    .addOption(keyOption('--key', `the state is kept under an AES key: ${KEY_FORMS}`))
    .option('--json', 'print {"state","rootCertificate","demonstration"}')
    .addHelpText('after', HELP)
    .action(manufacture);
}

function parseBanks(text: string): readonly SwtpmBank[] {
  const names = text.split(',');
  const banks = SWTPM_BANKS.filter((bank) => names.includes(bank));
  if (banks.length === names.length) return banks;
  throw new InvalidArgumentError(`banks are ${SWTPM_BANKS.join(', ')}, with commas between and each once.`);
}

async function manufacture({ tpmstate, authority, pcrBanks, key, json }: Options): Promise<void> {
  const { folder, mode } = planState(tpmstate);
  const made = await manufactureSoftware({
    state: folder,
    authority,
    mode,
    banks: pcrBanks,
    key: key && (await readStateKey(key)),
  });
  if (json === true) printJson({ ...made, demonstration: true });
  else printLine(`made a software TPM in ${made.state}; the root of its certificates is ${made.rootCertificate}`);
}
