/** `assay key show`: what a key's file says of itself, without opening it. */
import type { Command } from 'commander';
import { toHex } from '../../bytes/index.ts';
import { policyOf } from '../../keys/index.ts';
import { escapeControls, formatTable, printJson, printLine } from '../terminal.ts';
import { type KeyFile, readKeyFile, readPolicies } from './key-file.ts';
import { policyWords } from './policy-words.ts';

export function registerShow(key: Command): void {
  key
    .command('show')
    .description('Say what a key is and what it was sealed to, without opening it')
    .argument('<file>', 'the key')
    .option('--json', 'print {"kind",…}')
    .addHelpText('after', '\nExample:\n  assay key show kmk.blob')
    .action(runShow);
}

function runShow(path: string, { json }: { readonly json?: boolean }): void {
  const shown = describe(path, readKeyFile(path));
  if (json === true) printJson(Object.fromEntries(shown));
  else printLine(formatTable([...shown].map(([name, value]) => [name, escapeControls(String(value ?? '-'))])));
}

function describe(path: string, file: KeyFile): Map<string, unknown> {
  if (file.kind === 'encrypted') {
    const { format, master, size } = file.key;
    return new Map<string, unknown>([
      ['kind', 'encrypted'],
      ['format', format ?? null],
      ['master', master],
      ['bytes', size],
    ]);
  }
  if (file.kind === 'protected') {
    const { size, protectors } = file.key;
    return new Map<string, unknown>([
      ['kind', 'protected'],
      ['bytes', size],
      ['protectors', protectors.map(({ id }) => id)],
    ]);
  }
  const { blob } = file;
  const { authPolicy, nameAlg, objectAttributes } = blob.area;
  const policy = policyOf(blob, readPolicies(path));
  return new Map<string, unknown>([
    ['kind', 'trusted'],
    ['form', blob.form],
    ['keyhandle', blob.parent === undefined ? null : `0x${blob.parent.toString(16)}`],
    ['hash', nameAlg],
    ['migratable', objectAttributes.fixedTPM !== true && objectAttributes.fixedParent !== true],
    ['authorization', blob.emptyAuth ? 'none' : 'a value or PIN'],
    ['policydigest', authPolicy.length === 0 ? null : toHex(authPolicy)],
    ['sealedTo', policy === undefined ? null : policyWords(policy)],
  ]);
}
