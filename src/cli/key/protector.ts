/** `assay key protector add|remove|list`: who opens a key. */
import type { Command } from 'commander';
import {
  openProtectedKey,
  type ProtectedKey,
  type Protector,
  withoutProtector,
  withProtector,
} from '../../keys/index.ts';
import { escapeControls, formatTable, printJson, printLine } from '../terminal.ts';
import { addTpmOptions } from '../with-tpm.ts';
import { readProtectedKey, replaceProtectedKey } from './key-file.ts';
import { policyWords } from './policy-words.ts';
import {
  addOpenerOptions,
  addProtectorOptions,
  newProtectors,
  type OpenerFlags,
  openersFor,
  type ProtectorFlags,
} from './protector-options.ts';

const ADD_HELP = `
The key is opened first, with a protector that it has: the TPM or a removable device by themselves, others as --open-… says.

Example:
  assay key protector add evm.key --password prompt
  assay key protector add evm.key --recovery --open-password prompt`;

export function registerProtector(key: Command): void {
  const protector = key
    .command('protector')
    .description('Who opens a protected key: TPM, password, device, token, code');
  protector.addHelpText('after', '\nExample:\n  assay key protector add evm.key --usb /media/stick/assay.key');
  const add = protector
    .command('add')
    .description('Add a protector; the key stays the same')
    .argument('<file>', 'the key')
    .option('--json', 'print {"added":[…],"recoveryCode"}');
  addProtectorOptions(addOpenerOptions(addTpmOptions(add), 'open-'))
    .addHelpText('after', ADD_HELP)
    .action(runAdd);
  protector
    .command('remove')
    .description('Remove a protector; the last one stays')
    .argument('<file>', 'the key')
    .argument('<id>', 'its name, as `list` shows it')
    .option('--json', 'print {"removed"}')
    .addHelpText('after', '\nExample:\n  assay key protector remove evm.key usb-1a2b3c4d')
    .action(runRemove);
  protector
    .command('list')
    .description('List the protectors of a key')
    .argument('<file>', 'the key')
    .option('--json', 'print {"bytes","protectors":[{"id","kind",…}]}')
    .addHelpText('after', '\nExample:\n  assay key protector list evm.key')
    .action(runList);
}

async function runAdd(path: string, flags: ProtectorFlags & OpenerFlags): Promise<void> {
  const key = readProtectedKey(path);
  const { payload } = await openProtectedKey(key, await openersFor(flags));
  const { protectors, code } = await newProtectors(payload, flags);
  await replaceProtectedKey(path, protectors.reduce<ProtectedKey>(withProtector, key));
  tellAdded(protectors, code, flags.json === true);
}

/** Says which protectors a key got, and shows the recovery code this once. */
export function tellAdded(protectors: readonly Protector[], code: string | undefined, json: boolean): void {
  if (json) {
    printJson({ added: protectors.map(({ id }) => id), ...(code === undefined ? {} : { recoveryCode: code }) });
    return;
  }
  for (const protector of protectors) printLine(`protector ${protector.id}: ${escapeControls(words(protector))}`);
  if (code !== undefined)
    printLine(`recovery code: ${code}\nWrite it down and keep it elsewhere: it is shown this once, and opens the key.`);
}

async function runRemove(path: string, id: string, { json }: { readonly json?: boolean }): Promise<void> {
  await replaceProtectedKey(path, withoutProtector(readProtectedKey(path), id));
  if (json === true) printJson({ removed: id });
  else printLine(`${escapeControls(path)}: ${id} no longer opens it; copies of the file from before still have it`);
}

function runList(path: string, { json }: { readonly json?: boolean }): void {
  const { size, protectors } = readProtectedKey(path);
  if (json === true) {
    printJson({ bytes: size, protectors: protectors.map((one) => ({ id: one.id, kind: one.kind, what: words(one) })) });
    return;
  }
  printLine(formatTable(protectors.map((one) => [one.id, escapeControls(words(one))])));
}

function words(protector: Protector): string {
  switch (protector.kind) {
    case 'password':
      return 'a password';
    case 'recovery':
      return 'a recovery code';
    case 'usb':
      return `the file ${protector.path} on the device ${protector.fileSystem}`;
    case 'token':
      return `the token key ${protector.uri}`;
    case 'tpm':
      return `the TPM${protector.policy === undefined ? '' : `, sealed to ${policyWords(protector.policy)}`}`;
  }
}
