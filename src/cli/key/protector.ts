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
import { readKeyToChange, readProtectedKey } from './key-file.ts';
import { policyWords } from './policy-words.ts';
import {
  addOpenerOptions,
  addProtectorOptions,
  newProtectors,
  type OpenerFlags,
  openersFor,
  type ProtectorFlags,
} from './protector-options.ts';
import { changeProtectedKey } from './write-key.ts';

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
  const key = readProtectedKey(path, readKeyToChange);
  const { payload } = await openProtectedKey(key, await openersFor(flags));
  const { protectors, code } = await newProtectors(payload, flags);
  await changeProtectedKey(path, key, (now) => protectors.reduce<ProtectedKey>(withProtector, now));
  if (flags.json === true) printJson(addedFields(protectors, code));
  else for (const line of addedLines(protectors, code)) printLine(escapeControls(line));
}

/** Which protectors a key got, with the recovery code, which is shown this once. */
export function addedFields(protectors: readonly Protector[], code: string | undefined): object {
  return { added: protectors.map(({ id }) => id), ...(code === undefined ? {} : { recoveryCode: code }) };
}

/** The same for people. */
export function addedLines(protectors: readonly Protector[], code: string | undefined): string[] {
  return [...protectors.map((protector) => `protector ${protector.id}: ${words(protector)}`), ...recoveryLines(code)];
}

export function recoveryLines(code: string | undefined): string[] {
  if (code === undefined) return [];
  return [`recovery code: ${code}`, 'Write it down and keep it elsewhere: it is shown this once, and opens the key.'];
}

async function runRemove(path: string, id: string, { json }: { readonly json?: boolean }): Promise<void> {
  await changeProtectedKey(path, readProtectedKey(path, readKeyToChange), (now) => withoutProtector(now, id));
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
